"""Publishes messages straight to the broker until it has confirmed them, however often it goes away meanwhile.

Invariant: what is resent is the same bytes, and a connection on which a confirm was missed is not used again.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection

from contracts.channels import COMMANDS
from tests.faults.apart import apart

CONFIRM_TIMEOUT_SECONDS = 4.0
CONNECT_TIMEOUT_SECONDS = 3.0
RETRY_SECONDS = 0.3


@dataclass(slots=True)
class Publisher:
    """One connection, replaced whenever it fails."""

    url: str
    resends: int = 0
    _connection: AbstractConnection | None = None
    _channel: AbstractChannel | None = None
    _connecting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _closing: set["asyncio.Task[None]"] = field(default_factory=set)

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str) -> AsyncIterator["Publisher"]:
        """A publisher for this URL; not yet connected."""
        publisher = cls(url)
        try:
            yield publisher
        finally:
            publisher._drop(publisher._channel)
            if publisher._closing:
                await asyncio.wait(publisher._closing)

    async def publish(self, body: bytes, routing_key: str) -> int:
        """The broker has confirmed it; so many copies were on their way."""
        copies = 1
        while not await self._try(body, routing_key):
            copies += 1
            self.resends += 1
            await asyncio.sleep(RETRY_SECONDS)
        return copies

    async def _try(self, body: bytes, routing_key: str) -> bool:
        channel = await self._current()
        message = aio_pika.Message(body, content_type="application/cloudevents+json", delivery_mode=2)
        exchange = await channel.get_exchange(COMMANDS, ensure=False)
        publishing = exchange.publish(message, routing_key, mandatory=True)
        if await apart(publishing, CONFIRM_TIMEOUT_SECONDS) is not None:
            return True
        self._drop(channel)
        return False

    async def _current(self) -> AbstractChannel:
        async with self._connecting:
            while self._channel is None or self._channel.is_closed:
                self._drop(self._channel)
                await apart(self._connect(), 2 * CONNECT_TIMEOUT_SECONDS)
                if self._channel is None:
                    await asyncio.sleep(RETRY_SECONDS)
            return self._channel

    async def _connect(self) -> None:
        self._connection = await aio_pika.connect(self.url, timeout=CONNECT_TIMEOUT_SECONDS)
        self._channel = await self._connection.channel(on_return_raises=True)

    def _drop(self, channel: AbstractChannel | None) -> None:
        """Whoever uses this channel, if it is still the present one, does so no more."""
        if channel is self._channel and self._connection is not None:
            closing = asyncio.create_task(_close(self._connection))
            self._closing.add(closing)
            closing.add_done_callback(self._closing.discard)
            self._connection = self._channel = None


async def _close(connection: AbstractConnection) -> None:
    """A broker in an alarm does not answer, and need not."""
    await apart(connection.close(), 1)
