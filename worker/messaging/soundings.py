"""Asks how deep the queues are, on a connection of its own, so that looking holds up neither commands nor events.

Connection and channel are kept for the next time, since a new channel costs more than the question; and the publishing
connection would not be read from during a memory or disk alarm.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.exceptions import AMQPError, ChannelAccessRefused, ChannelInvalidStateError, ChannelNotFoundEntity

from worker.messaging.connection import connect
from worker.messaging.depths import Depth, depths

_CLOSE_SECONDS = 1.0


class Soundings:
    """For one caller at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def take(self, queues: Sequence[str]) -> list[Depth]:
        """One for each queue, in the same order.

        Raises:
            AMQPError, OSError: the broker does not answer; the next time begins with a new connection.
        """
        try:
            if self._connection is None or self._connection.is_closed:
                self._connection = await connect(self._url)
            return [await self._depth(self._connection, queue) for queue in queues]
        except BaseException:  # also when the caller has run out of patience: something may be stuck on it
            await self.close()
            raise

    async def close(self) -> None:
        """The connection is gone, politely if the other end answers."""
        connection, self._connection, self._channel = self._connection, None, None
        if connection is not None:
            with suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.close()

    async def _depth(self, connection: AbstractConnection, queue: str) -> Depth:
        if self._channel is None or self._channel.is_closed:
            self._channel = await connection.channel(publisher_confirms=False)
        try:
            told = (await self._channel.declare_queue(queue, passive=True)).declaration_result
        except (ChannelNotFoundEntity, ChannelAccessRefused):  # which closes the channel
            return (await depths(connection, (queue,)))[0]
        return Depth(queue, told.message_count, told.consumer_count)
