"""Counts what came out of a worker: every event id, its contents and its order, and what was left in the queues."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import command_queues
from contracts.envelope import Command
from tests.harness.stage import DEADLINE_SECONDS, Stage, eventually
from tests.harness.wire import EVENTS, Wire, document

_SENTINEL = "tests.sentinel"
_AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class Ledger:
    """All events that were heard; `first` holds each id's first sighting, in the order of arrival."""

    first: list[dict[str, Any]] = field(default_factory=list)
    contents: dict[str, set[bytes]] = field(default_factory=lambda: defaultdict(set))
    ids_of: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, wire: Wire) -> "Ledger":
        """What this wire has heard so far."""
        ledger = cls()
        for message in wire.events:
            if message.type != _SENTINEL:
                ledger.enter(message)
        return ledger

    def enter(self, message: AbstractIncomingMessage) -> None:
        """One more event was heard."""
        event = document(message)
        if event["id"] not in self.contents:
            self.first.append(event)
            self.ids_of[event["causationid"]].append(event["id"])
        self.contents[event["id"]].add(message.body)

    def by_hero(self) -> dict[int, list[dict[str, Any]]]:
        """The first sightings of each hero's events, in the order of arrival."""
        sorted_out: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for event in self.first:
            if "hero" in event["data"]:
                sorted_out[event["data"]["hero"]["id"]].append(event)
        return sorted_out

    def assert_one_content_each(self) -> None:
        """An event id always stood on the same bytes."""
        several = {event_id: bodies for event_id, bodies in self.contents.items() if len(bodies) > 1}
        assert not several, f"{len(several)} event ids with more than one content"

    def assert_one_event_each(self, commands: Iterable[Command]) -> None:
        """Each of these commands caused exactly one event id, and nobody else caused any."""
        expected = {command.id for command in commands}
        heard = {command_id: len(ids) for command_id, ids in self.ids_of.items()}
        assert heard == dict.fromkeys(expected, 1)


async def send_all(wire: Wire, commands: Sequence[Command]) -> None:
    """The broker has confirmed all of them; for the same hero nothing is promised about their order."""
    for start in range(0, len(commands), _AT_ONCE):
        await asyncio.gather(*(wire.send(command) for command in commands[start : start + _AT_ONCE]))


async def heard_at_least(wire: Wire, count: int, *, within_seconds: float = 60) -> None:
    """So many events have arrived, repeats and all."""

    async def enough() -> bool:
        return len(wire.events) >= count

    await eventually(enough, f"{count} events, there are {len(wire.events)}", within_seconds=within_seconds)


async def everything_heard(wire: Wire) -> Ledger:
    """All events that the broker confirmed before this call."""
    token = str(uuid4())
    sentinel = {"id": token, "causationid": token}
    await wire.publish(json.dumps(sentinel).encode(), _SENTINEL, exchange=EVENTS, type=_SENTINEL)
    await wire.events_of(token)
    return Ledger.of(wire)


async def announced(wire: Wire, commands: Sequence[Command], *, within_seconds: float = DEADLINE_SECONDS) -> None:
    """Each of these commands has at least one event; `within_seconds` may pass without any event at all."""
    missing = {command.id for command in commands}
    seen = 0

    async def some_are_new() -> bool:
        return len(wire.events) > seen

    while True:
        fresh, seen = wire.events[seen:], len(wire.events)
        missing.difference_update(document(message)["causationid"] for message in fresh)
        if not missing:
            return
        what = f"another event: {len(missing)} of {len(commands)} commands have none"
        await eventually(some_are_new, what, within_seconds=within_seconds)


async def leftovers(stage: Stage) -> list[AbstractIncomingMessage]:
    """Takes away what stands in the command queues, with no worker about; their delivery counts are in the headers.

    Each queue has one active consumer and keeps its order, so whatever a worker gave back comes before our sentinel.
    """
    found: list[AbstractIncomingMessage] = []
    queues = command_queues()
    awaited = set(queues)
    done = asyncio.Event()

    async def take(message: AbstractIncomingMessage) -> None:
        if message.type != _SENTINEL:
            found.append(message)
        else:
            awaited.discard(message.body.decode())
            if not awaited:
                done.set()
        await message.ack()

    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        channel = await connection.channel()
        for name in queues:
            sentinel = aio_pika.Message(name.encode(), type=_SENTINEL)
            await channel.default_exchange.publish(sentinel, name)
            await (await channel.get_queue(name, ensure=False)).consume(take)
        try:
            await asyncio.wait_for(done.wait(), DEADLINE_SECONDS)
        except TimeoutError:
            raise AssertionError(f"no message came from {sorted(awaited)}: somebody still consumes them") from None
    return found


def delivery_count(message: AbstractIncomingMessage) -> int:
    """How often the broker counts it as given out and not acknowledged."""
    count = message.headers.get("x-delivery-count", 0)
    assert isinstance(count, int)
    return count
