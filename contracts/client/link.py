"""The way to the broker and back: one connection that is opened again when it is lost, and one queue for replies.

What was under way when it was lost is unknown, so it is sent again, with the same id, until its time is over.
"""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit
from uuid import uuid4

import aio_pika
import aiormq
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import CONNECTION_EXCEPTIONS

from contracts.envelope import CONTENT_TYPE, Request

CONNECT_TIMEOUT_SECONDS = 5
HEARTBEAT_SECONDS = 10
_RECONNECT_SECONDS = 0.5

# The broker answers like this again, however often it is asked.
REFUSALS = (
    aiormq.exceptions.ChannelAccessRefused,
    aiormq.exceptions.ChannelNotFoundEntity,
    aiormq.exceptions.ChannelPreconditionFailed,
)

OnReply = Callable[[str, bytes], None]


class Refused(Exception):  # noqa: N818 - never leaves this package
    """The broker answered, and it was a no: sending again at once would not help."""


class NoExchange(Refused):
    """Nobody has run `heroes setup` there."""


class Lost(Exception):  # noqa: N818 - never leaves this package
    """The connection or its channel is gone; whether the message arrived is unknown."""


@dataclass(frozen=True, slots=True)
class Session:
    """One connection, from its opening to its loss."""

    connection: AbstractConnection
    channel: AbstractChannel
    replies: str
    lost: "asyncio.Future[None]"

    async def publish(self, request: Request, exchange: str, routing_key: str, *, correlation_id: str | None) -> None:
        """The broker has taken it.

        Raises:
            Lost: it may or may not have; ask again.
            Refused: it said no. Whatever else was under way on the channel is told the same, since a no closes it.
        """
        try:
            underlay = cast("aiormq.Channel", await self.channel.get_underlay_channel())
            # Not `Exchange.publish`: it holds a lock until the socket has drained, and thousands stand in line for it.
            await underlay.basic_publish(
                request.to_json(),
                exchange=exchange,
                routing_key=routing_key,
                properties=self._properties(request, correlation_id),
                mandatory=True,
                wait=False,
            )
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            raise Lost("the connection was lost") from error  # nobody cancelled us: it died under a confirm
        except aiormq.exceptions.ChannelNotFoundEntity as error:
            raise NoExchange(f"there is no exchange {exchange}: run heroes setup") from error
        except (aiormq.exceptions.PublishError, aiormq.exceptions.DeliveryError, *REFUSALS) as error:
            raise Refused(f"{type(error).__name__} at exchange {exchange}") from error
        except CONNECTION_EXCEPTIONS as error:
            raise Lost(type(error).__name__) from error
        except BaseException as error:
            # A bare `Exception` is what aiormq gives a confirm whose channel was closed without a reason.
            if type(error) is Exception:
                raise Lost("the channel was closed") from error
            raise

    def _properties(self, request: Request, correlation_id: str | None) -> aiormq.spec.Basic.Properties:
        return aiormq.spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            message_id=str(uuid4()),  # the AMQP client tells messages under way apart by it, so a resend needs its own
            message_type=request.type,
            delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            reply_to=self.replies if correlation_id else None,
            correlation_id=correlation_id,
        )

    def mark_lost(self) -> None:
        """Nobody uses this session any more."""
        if not self.lost.done():
            self.lost.set_result(None)


class Link:
    """Opens a session when one is needed and none is there; may be used by many tasks at once."""

    def __init__(self, url: str, on_reply: OnReply) -> None:
        self._url = url
        self._on_reply = on_reply
        self._session: Session | None = None
        self._opening = asyncio.Lock()

    async def session(self) -> Session:
        """A session that was alive a moment ago; waits until the broker is there."""
        while self._session is None or self._session.lost.done():
            async with self._opening:
                if self._session is None or self._session.lost.done():
                    await self._renew()
        return self._session

    async def open(self) -> None:
        """The first session, or the reason why there is none.

        Raises:
            OSError: the broker can't be reached or refuses the user; mostly a ConnectionError, as most of aiormq's are.
            AMQPError: it refuses the virtual host, in a way that aiormq can't read (RabbitMQ before 4).
        """
        self._session = await self._connected()

    async def close(self) -> None:
        """Nothing is connected any more."""
        if self._session is not None:
            await self._session.connection.close()

    async def _renew(self) -> None:
        if self._session is not None:
            with contextlib.suppress(*CONNECTION_EXCEPTIONS, TimeoutError):
                async with asyncio.timeout(1):
                    await self._session.connection.close()
        while True:
            try:
                self._session = await self._connected()
            except CONNECTION_EXCEPTIONS:
                # Not everybody at the same moment, after a restart of the broker.
                await asyncio.sleep(random.uniform(0.5, 1.5) * _RECONNECT_SECONDS)  # noqa: S311 - not a secret
            else:
                return

    async def _connected(self) -> Session:
        connection = await connect(self._url)
        replies = await (await connection.channel()).declare_queue(exclusive=True)
        await replies.consume(self._arrived, no_ack=True)
        channel = await connection.channel(on_return_raises=True)
        lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        session = Session(connection, channel, replies.name, lost)
        connection.close_callbacks.add(lambda *_: session.mark_lost())
        channel.close_callbacks.add(lambda *_: session.mark_lost())
        return session

    async def _arrived(self, message: AbstractIncomingMessage) -> None:
        self._on_reply(message.correlation_id or "", message.body)


def connect(url: str) -> Awaitable[AbstractConnection]:
    """A connection whose loss is found within half a minute, unless the URL sets a heartbeat of its own."""
    address = urlsplit(url)
    if "heartbeat=" not in address.query:
        query = f"{address.query}&heartbeat={HEARTBEAT_SECONDS}".lstrip("&")
        url = address._replace(query=query).geturl()
    return aio_pika.connect(url, timeout=CONNECT_TIMEOUT_SECONDS)
