"""Opens connections to RabbitMQ, patiently where waiting may help and at once with a clear sentence where it can't.

No error and no log line ever shows the password of a URL.
"""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractRobustConnection
from aio_pika.exceptions import CONNECTION_EXCEPTIONS
from aiormq.exceptions import (
    AuthenticationError,
    ConnectionClosed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from yarl import URL

from worker import tls
from worker.errors import SettingsError, UnreachableError

_HEARTBEAT_SECONDS = 10
_CONNECT_TIMEOUT_SECONDS = 5
_RETRY_SECONDS = 1
_RECONNECT_SECONDS = 1.0

_REFUSALS = ("NOT_ALLOWED", "ACCESS_REFUSED")
_TOO_MANY = "limit"
_REFUSED_TIMES = 3

T = TypeVar("T")

_log = logging.getLogger(__name__)


def with_heartbeat(url: str) -> str:
    """The URL with a heartbeat that finds a dead peer in half a minute instead of three; an own one is kept."""
    parsed = URL(url)
    return url if "heartbeat" in parsed.query else str(parsed.update_query(heartbeat=_HEARTBEAT_SECONDS))


def without_password(url: str) -> str:
    """Safe to show to anybody; a query may hold a password, too, and is left out."""
    parsed = URL(url).with_query(None).with_fragment(None)
    return str(parsed.with_password("***") if parsed.password else parsed)


async def patiently(url: str, work: Callable[[], Awaitable[T]], *, within_seconds: float) -> T:
    """The result of `work`, which needs that broker; tried again while it is away, for `within_seconds` in all.

    Raises:
        SettingsError: user, password, virtual host or certificate is wrong: waiting would not help.
        UnreachableError: the broker did not answer in time, or its certificate has expired.
    """
    deadline = asyncio.get_running_loop().time() + within_seconds
    refusals = 0
    while True:
        try:
            return await work()
        except (AuthenticationError, ProbableAuthenticationError):
            raise SettingsError(
                f"HEROES_RABBITMQ_URL: {without_password(url)} refuses this user and password"
            ) from None
        except CONNECTION_EXCEPTIONS as error:
            if refused := tls.refusal(error, "HEROES_RABBITMQ_URL", without_password(url), tls.AMQP):
                raise refused from None
            refusals += _is_refusal(error)
            if refusals == _REFUSED_TIMES:  # not just a broker that is going down
                raise SettingsError(
                    f"HEROES_RABBITMQ_URL: {without_password(url)} is refused by the broker; "
                    "does the virtual host exist, and may this user use it?"
                ) from None
            if asyncio.get_running_loop().time() >= deadline:
                raise UnreachableError(
                    f"RabbitMQ at {without_password(url)} did not answer within {within_seconds:g} s",
                    f"is it running, and is HEROES_RABBITMQ_URL right?{_hint(url)}",
                ) from error
            _log.warning("waiting for RabbitMQ at %s (%s)", without_password(url), type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)


@asynccontextmanager
async def connected(url: str, *, within_seconds: float) -> AsyncIterator[AbstractConnection]:
    """A connection for a short piece of work; the broker may take `within_seconds` to appear.

    Raises:
        SettingsError, UnreachableError: as `patiently`.
    """
    async with await patiently(url, partial(connect, url), within_seconds=within_seconds) as connection:
        yield connection


async def connect(url: str) -> AbstractConnection:
    """A connection that does not come back when it is lost. Raises: what `patiently` knows."""
    return await aio_pika.connect(with_heartbeat(url), timeout=_CONNECT_TIMEOUT_SECONDS)


async def keep_connected(url: str, name: str) -> AbstractRobustConnection:
    """A connection that comes back by itself, shown to the broker's operator under `name`."""
    return await aio_pika.connect_robust(
        with_heartbeat(url),
        timeout=_CONNECT_TIMEOUT_SECONDS,
        reconnect_interval=random.uniform(0.5, 1.5) * _RECONNECT_SECONDS,  # noqa: S311 - no secret; not all at once
        client_properties={"connection_name": name},
    )


def server_version(connection: AbstractConnection) -> tuple[int, ...]:
    """What the broker says it is, like (4, 3, 6); empty if it says nothing."""
    transport = connection.transport
    told = transport.connection.server_properties.get("version", "") if transport else ""
    return tuple(int(part) for part in str(told).split(".") if part.isdecimal())


def _hint(url: str) -> str:
    """A broker that wants a certificate, or is not spoken to in TLS, just hangs up."""
    if URL(url).scheme == "amqps":
        return "" if "certfile" in URL(url).query else " (If it wants a certificate: certfile=, keyfile=.)"
    return " (If it speaks TLS: amqps.)"


def _is_refusal(error: BaseException) -> bool:
    """A live broker closes the door while it is being opened; to 3.10 that is the first frame, and to the client an
    unexpected one whose reason it does not tell.
    """
    if isinstance(error, InvalidFrameError):
        return True
    said = str(error)
    return isinstance(error, ConnectionClosed) and any(words in said for words in _REFUSALS) and _TOO_MANY not in said
