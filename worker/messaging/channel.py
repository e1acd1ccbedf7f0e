"""One AMQP channel that publishes with confirms: what returns was taken by the broker, what raises may have been.

After a failure the channel is closed and a fresh one is opened for the resend: the client matches a returned message
by its id alone, and would take the first copy's fate for the second's.

The channel is one of aiormq's. Those of aio-pika would be opened again by the library as soon as they are lost: it then
waits for a connection without end that an alarm had blocked before it was lost, and never connects again.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from time import perf_counter
from typing import cast

import aiormq
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from worker.errors import PublishNotConfirmedError
from worker.failsafe import Failure, caught
from worker.messaging import together
from worker.messaging.together import Outgoing
from worker.watch import Watch

_CLOSE_TIMEOUT_SECONDS = 1
_UNCONFIRMED = (PublishNotConfirmedError, AMQPError, ChannelInvalidStateError, OSError, RuntimeError)


class ConfirmedChannel:
    """Publishes over a connection that it does not own; may be used by many tasks at once."""

    def __init__(self, connection: AbstractConnection, timeout_seconds: float, watch: Watch | None = None) -> None:
        self._connection = connection
        self._timeout_seconds = timeout_seconds
        self._watch = watch or Watch()
        self._channel: aiormq.Channel | None = None
        self._opening = asyncio.Lock()

    async def publish(self, message: Outgoing, *, exchange: str, routing_key: str, mandatory: bool = False) -> None:
        """The broker has taken responsibility for the message.

        Raises:
            PublishNotConfirmedError: it said no, said nothing in time, or the connection is gone. It may have the
                message all the same: publish it again, under the same id.
        """
        # Not `Exchange.publish`: it holds the channel's lock until the socket has drained, so on a busy
        # machine publications queue up behind one another until they time out.
        await self._confirmed(
            exchange,
            lambda channel: channel.basic_publish(
                message.body,
                exchange=exchange,
                routing_key=routing_key,
                properties=message.properties,
                mandatory=mandatory,
                wait=False,
            ),
        )

    async def publish_together(self, messages: Sequence[tuple[Outgoing, str]], *, exchange: str) -> None:
        """The same for all of these, each with its routing key: sent in this order, and confirmed in any.

        Raises:
            PublishNotConfirmedError: at least one was not confirmed; told at once, whatever becomes of the others.
        """
        await self._confirmed(exchange, lambda channel: together.publish_together(channel, messages, exchange=exchange))

    async def _confirmed(self, exchange: str, send: Callable[[aiormq.Channel], Awaitable[object]]) -> None:
        used: list[aiormq.Channel] = []
        began = perf_counter()
        result = await caught(self._send, send, used)
        if not isinstance(result, Failure):
            self._watch.confirmed(perf_counter() - began)
            return
        self._watch.unconfirmed(exchange)
        for channel in used:
            await self._discard(channel)
        error = result.error
        # A bare `Exception` is what a confirm ends with whose channel was closed for no reason that the client knows.
        if isinstance(error, _UNCONFIRMED) or type(error) is Exception:
            raise PublishNotConfirmedError(f"{type(error).__name__} at exchange {exchange or '(default)'!r}") from error
        raise error

    async def _send(self, send: Callable[[aiormq.Channel], Awaitable[object]], used: list[aiormq.Channel]) -> None:
        async with asyncio.timeout(self._timeout_seconds):
            channel = await self._opened()
            used.append(channel)
            await send(channel)

    @property
    def is_connected(self) -> bool:
        """The connection is there, blocked or not."""
        return self._connection.connected.is_set()

    async def ready(self) -> None:
        """The channel is open, and its connection neither gone nor blocked by an alarm; waits until it is."""
        channel = await self._opened()
        await channel.connection.ready()

    async def _opened(self) -> aiormq.Channel:
        if self._channel is not None and not together.is_ending(self._channel):
            return self._channel
        async with self._opening:
            if self._channel is None or together.is_ending(self._channel):
                await self._connection.ready()
                transport = self._connection.transport
                if transport is None or transport.connection.is_closed:  # lost again at this very moment
                    raise ConnectionError("the connection is gone")
                opened = await transport.connection.channel(publisher_confirms=True, on_return_raises=True)
                self._channel = cast("aiormq.Channel", opened)
            return self._channel

    async def _discard(self, channel: aiormq.Channel) -> None:
        """Whoever fails first closes the channel; the others find it replaced."""
        if channel is not self._channel:
            return
        self._channel = None
        with contextlib.suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_SECONDS):
                await channel.close()
