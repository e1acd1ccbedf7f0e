"""Asks how deep the queues are, on a connection of its own, so that looking holds up neither commands nor events.

The connection is kept for the next time; the publishing one would not be read from during a memory or disk alarm.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from aio_pika.abc import AbstractConnection
from aiormq.exceptions import AMQPError, ChannelInvalidStateError

from worker.messaging.connection import connect
from worker.messaging.depths import Depth, depths

_CLOSE_SECONDS = 1.0


class Soundings:
    """For one caller at a time."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: AbstractConnection | None = None

    async def take(self, queues: Sequence[str]) -> list[Depth]:
        """One for each queue, in the same order.

        Raises:
            AMQPError, OSError: the broker does not answer; the next time begins with a new connection.
        """
        try:
            if self._connection is None or self._connection.is_closed:
                self._connection = await connect(self._url)
            return await depths(self._connection, queues)
        except BaseException:  # also when the caller has run out of patience: something may be stuck on it
            await self.close()
            raise

    async def close(self) -> None:
        """The connection is gone, politely if the other end answers."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(AMQPError, ChannelInvalidStateError, OSError, RuntimeError):
                async with asyncio.timeout(_CLOSE_SECONDS):
                    await connection.close()
