"""Both ends of the wire as others see them: publishes whatever bytes and properties, and keeps all that comes out.

Written on aio-pika alone: it must not share the worker's mistakes.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.stage import DEADLINE_SECONDS, Stage, eventually

COMMANDS, EVENTS, DEAD_LETTERS = "heroes.commands", "heroes.events", "heroes.dead_letters"


@dataclass(slots=True)
class Wire:
    """A connection with a publishing channel, everything heard on the events exchange, and the dead letters."""

    channel: AbstractChannel
    events: list[AbstractIncomingMessage] = field(default_factory=list)
    letters: list[AbstractIncomingMessage] = field(default_factory=list)
    _heard: asyncio.Condition = field(default_factory=asyncio.Condition)

    @classmethod
    @asynccontextmanager
    async def connected(cls, stage: Stage) -> AsyncIterator["Wire"]:
        """Listening from now on; letters are taken off their queue, so each test sees its own."""
        connection = await aio_pika.connect(stage.rabbitmq_url)
        async with connection:
            wire = cls(await connection.channel(on_return_raises=True))
            heard = await wire.channel.declare_queue(exclusive=True)
            await heard.bind(EVENTS, "#")
            await heard.consume(wire._keep(wire.events), no_ack=True)
            letters = await wire.channel.get_queue(DEAD_LETTERS)
            await letters.consume(wire._keep(wire.letters), no_ack=True)
            yield wire

    async def publish(
        self, body: bytes, routing_key: str = "00", *, exchange: str = COMMANDS, **properties: Any
    ) -> None:
        """The broker has confirmed this message, with exactly these properties."""
        given = {"content_type": "application/cloudevents+json", "delivery_mode": 2, **properties}
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, **given), routing_key)

    async def send(self, command: Command, **properties: Any) -> None:
        """The broker has confirmed this command, in its own slot."""
        await self.publish(command.to_json(), command.routing_key, **properties)

    async def events_of(self, command_id: str, count: int = 1) -> list[dict[str, Any]]:
        """The first `count` events that this command caused, in the order in which they came, repeats and all."""
        return await self._wait(
            lambda: [event for event in map(document, self.events) if event["causationid"] == command_id],
            count,
            f"{count} events of {command_id}",
        )

    async def event_messages_of(self, command_id: str, count: int = 1) -> list[AbstractIncomingMessage]:
        """The same with their AMQP properties and the very bytes."""
        return await self.events_where(lambda event: event["causationid"] == command_id, count)

    async def events_where(
        self, matches: Callable[[Mapping[str, Any]], bool], count: int = 1
    ) -> list[AbstractIncomingMessage]:
        """The first `count` events whose envelopes match, in the order in which they came."""
        return await self._wait(
            lambda: [message for message in self.events if matches(document(message))], count, f"{count} such events"
        )

    async def letters_of(self, matches: Callable[[AbstractIncomingMessage], bool], count: int = 1) -> list[Any]:
        """The first `count` dead letters that match."""
        return await self._wait(lambda: [one for one in self.letters if matches(one)], count, f"{count} dead letters")

    async def letters_with(self, body: bytes, count: int = 1) -> list[AbstractIncomingMessage]:
        """The first `count` dead letters with exactly this body."""
        return await self._wait(
            lambda: [one for one in self.letters if one.body == body], count, f"{count} dead letters of {body[:300]!r}"
        )

    async def settled(self, routing_key: str) -> None:
        """Everything sent before with this key is acknowledged, and all that it caused has arrived here.

        True of a worker of prefetch 1: it gets these two only after that, and publishes letters and events in order.
        """
        bad, good = f"barrier {uuid4()}".encode(), create(name="Barrier")
        await asyncio.gather(self.publish(bad, routing_key), self.publish(good.to_json(), routing_key))
        await self.letters_with(bad)
        await self.events_of(good.id)

    @asynccontextmanager
    async def replies(self, name: str | None = None) -> AsyncIterator["Replies"]:
        """An exclusive queue for replies, named by the broker (`amq.gen-`) or by us."""
        queue = await self.channel.declare_queue(name, exclusive=True)
        yield Replies(queue.name, queue)
        await queue.delete(if_unused=False, if_empty=False)

    async def outcome(self, command: Command) -> dict[str, Any]:
        """Sends a command and waits for its first event."""
        await self.send(command)
        return (await self.events_of(command.id))[0]

    async def depth(self, queue: str) -> int:
        """How many messages are ready in a queue."""
        declared: AbstractQueue = await self.channel.declare_queue(queue, passive=True)
        return declared.declaration_result.message_count or 0

    def _keep(self, kept: list[AbstractIncomingMessage]) -> Callable[[AbstractIncomingMessage], Any]:
        async def keep(message: AbstractIncomingMessage) -> None:
            async with self._heard:
                kept.append(message)
                self._heard.notify_all()

        return keep

    async def _wait(self, find: Callable[[], list[Any]], count: int, what: str) -> list[Any]:
        async with self._heard:
            try:
                async with asyncio.timeout(DEADLINE_SECONDS):
                    await self._heard.wait_for(lambda: len(find()) >= count)
            except TimeoutError:
                raise AssertionError(f"waited {DEADLINE_SECONDS:g} s for {what}, got {len(find())}") from None
            return find()


@dataclass(frozen=True, slots=True)
class Replies:
    """A queue that takes replies."""

    name: str
    queue: AbstractQueue

    async def next(self) -> AbstractIncomingMessage:
        """The next reply, waited for."""
        found: list[AbstractIncomingMessage] = []

        async def look() -> bool:
            message = await self.queue.get(no_ack=True, fail=False)
            found.extend([message] if message else [])
            return message is not None

        await eventually(look, f"a reply in {self.name}")
        return found[0]

    async def is_empty(self) -> bool:
        """Nothing stands in it just now."""
        return await self.queue.get(no_ack=True, fail=False) is None


def document(message: AbstractIncomingMessage) -> dict[str, Any]:
    """The event's envelope."""
    parsed: dict[str, Any] = json.loads(message.body)
    return parsed


def reason_of(letter: AbstractIncomingMessage) -> str:
    """Why the worker set this one aside."""
    headers: Mapping[str, Any] = letter.headers
    return str(headers["x-dead-letter-reason"])
