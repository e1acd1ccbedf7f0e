"""Both ends of the wire as others see them: hears every event, publishes any bytes, looks into queues.

Invariant: it takes nothing off a queue but its own copies of the events.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage
from pydantic import TypeAdapter

from contracts.channels import COMMANDS, DEAD_LETTERS, EVENTS
from contracts.envelope import CONTENT_TYPE
from contracts.heroes import AnyEvent
from worker.local.demo_promise import BrokenPromiseError

TIMEOUT_SECONDS = 30.0
_AnyEvent: TypeAdapter[AnyEvent] = TypeAdapter(AnyEvent)


@dataclass(frozen=True, slots=True)
class Heard:
    """An event as it came from the exchange, and when."""

    event: AnyEvent
    body: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Depth:
    """What a queue says of itself."""

    ready: int
    consumers: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message that was set aside, with what the worker wrote on it."""

    body: bytes
    headers: Mapping[str, Any]


@dataclass(slots=True)
class Wire:
    """A connection, and everything that has come from the events exchange, by the command that caused it."""

    connection: aio_pika.abc.AbstractConnection
    channel: AbstractChannel
    heard: dict[str, list[Heard]] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def broker(self) -> str:
        """The broker's name and version."""
        transport = self.connection.transport
        properties = transport.connection.server_properties if transport else {}
        return " ".join(str(properties.get(name, "")) for name in ("product", "version")).strip() or "RabbitMQ"

    async def event_of(self, command_id: str) -> Heard:
        """The first event that this command caused.

        Raises:
            BrokenPromiseError: none came in time.
        """
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                while command_id not in self.heard:
                    await self.changed()
        except TimeoutError:
            raise BrokenPromiseError(f"no event of command {command_id} came within {TIMEOUT_SECONDS:g} s") from None
        return self.heard[command_id][0]

    async def changed(self) -> None:
        """Something has been heard since the last look."""
        self._changed.clear()
        await self._changed.wait()

    async def publish(self, body: bytes, routing_key: str) -> None:
        """The broker has confirmed these bytes, whatever they are."""
        exchange = await self.channel.get_exchange(COMMANDS, ensure=False)
        persistent = aio_pika.DeliveryMode.PERSISTENT
        message = aio_pika.Message(body, content_type=CONTENT_TYPE, delivery_mode=persistent)
        await exchange.publish(message, routing_key)

    async def depth(self, queue: str) -> Depth:
        """How many messages wait there, and how many consumers."""
        declared = (await self.channel.declare_queue(queue, passive=True)).declaration_result
        return Depth(declared.message_count or 0, declared.consumer_count or 0)

    async def dead_letter(self) -> DeadLetter:
        """A look at the first dead letter; it stays where it is."""
        queue = await self.channel.get_queue(DEAD_LETTERS, ensure=False)
        message = await queue.get(timeout=TIMEOUT_SECONDS)
        await message.nack(requeue=True)
        return DeadLetter(message.body, message.headers)

    async def keep(self, message: AbstractIncomingMessage) -> None:
        """An event was heard."""
        event = _AnyEvent.validate_json(message.body)
        self.heard.setdefault(event.causationid, []).append(Heard(event, message.body, time.monotonic()))
        self._changed.set()


@asynccontextmanager
async def listening(url: str) -> AsyncIterator[Wire]:
    """Every event from now on is heard."""
    async with await aio_pika.connect(url) as connection:
        wire = Wire(connection, await connection.channel(on_return_raises=True))
        queue = await wire.channel.declare_queue(exclusive=True)
        await queue.bind(EVENTS, "#")
        await queue.consume(wire.keep, no_ack=True)
        yield wire
