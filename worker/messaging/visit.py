"""Visits the broker once: who it is, what is there, and what this user may do. It gives up in time, with what it saw.

It changes nothing there; the rights to publish are asked on a connection of their own, as one that is blocked answers
nothing any more.
"""

import asyncio
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import partial

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from worker.errors import UnreachableError
from worker.failsafe import Failure, caught
from worker.messaging.connection import connect, patiently, server_version, without_password
from worker.messaging.examination import BlockedError, Seen, examined, refused_publications

_LOOK_SECONDS = 15.0
_GRACE_SECONDS = 0.5
_CLOSE_SECONDS = 1.0


@dataclass(slots=True)
class Visit:
    """What was seen. `unpublishable`: where this user may not publish, None where it is not known."""

    version: tuple[int, ...] = ()
    seen: list[Seen] = field(default_factory=list)
    unpublishable: list[str] | None = None
    is_blocked: bool = False
    broken_off: str = ""


async def visit(url: str, event_log_retention_days: int, wait_seconds: float) -> Visit:
    """Everything that could be seen.

    Raises:
        SettingsError, UnreachableError: as `patiently`; also of a broker that takes the connection and says nothing.
    """
    connection = await _connected(url, wait_seconds)
    seen = Visit(server_version(connection))
    try:
        async with asyncio.timeout(_LOOK_SECONDS):
            async with aclosing(examined(connection, event_log_retention_days)) as things:
                async for one in things:
                    seen.seen.append(one)
            seen.unpublishable = await _unpublishable(url)
    except BlockedError:
        seen.is_blocked = True
    except (AMQPError, ChannelInvalidStateError, OSError, RuntimeError) as error:
        seen.broken_off = type(error).__name__
    finally:
        await _close(connection)
    return seen


async def _connected(url: str, wait_seconds: float) -> AbstractConnection:
    try:
        async with asyncio.timeout(wait_seconds + _GRACE_SECONDS):
            return await patiently(url, partial(connect, url), within_seconds=wait_seconds)
    except TimeoutError:
        raise UnreachableError(
            f"RabbitMQ at {without_password(url)} did not answer within {wait_seconds:g} s",
            "is it running, and is HEROES_RABBITMQ_URL right?",
        ) from None


async def _unpublishable(url: str) -> list[str]:
    connection = await connect(url)
    try:
        return await refused_publications(connection)
    finally:
        await _close(connection)


async def _close(connection: AbstractConnection) -> Failure | None:
    """Politely, if the other end answers; otherwise it goes with the process."""

    async def closing() -> None:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await connection.close()

    return await caught(closing)
