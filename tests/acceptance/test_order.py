"""Commands for one hero are applied in the order in which the broker took them, while workers come and go."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from contracts.channels import command_queues
from contracts.envelope import Command
from tests.harness.cable import Cable
from tests.harness.commands import create, update
from tests.harness.ledger import Ledger, announced, everything_heard, heard_at_least, leftovers, send_all
from tests.harness.program import working
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import running_worker

HEROES = 20


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_over(stage: Stage) -> AsyncIterator[None]:
    """A test that fails half-way leaves no commands to the next one."""
    yield
    await leftovers(stage)


@dataclass(slots=True)
class Cast:
    """Heroes of age 0 and their updates: each hero's n-th update sets its age to n."""

    wire: Wire
    heroes: list[int]
    sent: list[Command]
    age: int = 0

    async def send_rounds(self, count: int) -> None:
        """So many updates to each hero, one round after the other over one connection: the broker has them in order."""
        for _ in range(count):
            self.age += 1
            round_of_updates = [update(hero_id, {"age": self.age}) for hero_id in self.heroes]
            await asyncio.gather(*(self.wire.send(command) for command in round_of_updates))
            self.sent += round_of_updates

    async def assert_in_order(self, stage: Stage) -> None:
        """Rows, versions and events tell of every update, once and in the order in which it was sent."""
        ledger = await everything_heard(self.wire)
        ledger.assert_one_event_each(self.sent)
        ledger.assert_one_content_each()
        told = {hero: _told(events) for hero, events in ledger.by_hero().items()}
        assert _inversions(told) == 0
        assert told == {hero: [(age, age + 1) for age in range(self.age + 1)] for hero in self.heroes}
        rows = await stage.rows("SELECT id, age, version FROM hero WHERE id = ANY($1)", self.heroes)
        assert {row["id"]: (row["age"], row["version"]) for row in rows} == dict.fromkeys(
            self.heroes, (self.age, self.age + 1)
        )
        assert await leftovers(stage) == []
        assert self.wire.letters == []


def _told(events: Sequence[Mapping[str, Any]]) -> list[tuple[int, int]]:
    return [(event["data"]["hero"]["age"], event["data"]["hero"]["version"]) for event in events]


def _inversions(told: Mapping[int, list[tuple[int, int]]]) -> int:
    """How often a hero's later update was applied, or announced, before an earlier one."""
    return sum(before > after for one in told.values() for before, after in itertools.pairwise(one))


async def _cast(wire: Wire) -> Cast:
    """The heroes exist; a worker must be at work."""
    creates = [create(name=f"Hero {number}", age=0) for number in range(HEROES)]
    await send_all(wire, creates)
    await announced(wire, creates)
    return Cast(wire, [event["data"]["hero"]["id"] for event in Ledger.of(wire).first], list(creates))


@pytest.mark.parametrize("rounds", [10, pytest.param(100, marks=pytest.mark.fault)])
async def test_updates_interleaved_over_many_heroes_are_applied_and_announced_in_order(
    stage: Stage, wire: Wire, rounds: int
) -> None:
    async with working(stage):
        cast = await _cast(wire)
    await cast.send_rounds(rounds)
    async with working(stage):
        await heard_at_least(wire, 200)
        await cast.send_rounds(rounds)
        await announced(wire, cast.sent)
    await cast.assert_in_order(stage)


@pytest.mark.fault
async def test_order_holds_while_one_worker_after_the_other_joins_and_the_one_before_leaves(
    stage: Stage, wire: Wire
) -> None:
    async with _relay(stage) as relay:
        await relay.join()
        cast = await _cast(wire)
        for _ in range(6):
            sending = asyncio.create_task(cast.send_rounds(10))
            await relay.join()
            await relay.first_leaves()
            await sending
        await announced(wire, cast.sent)
    await cast.assert_in_order(stage)


async def test_a_command_on_its_way_to_a_worker_that_leaves_is_not_overtaken(stage: Stage, wire: Wire) -> None:
    async with Cable.to(stage.rabbitmq_url) as cable, _relay(stage) as relay:
        await relay.join(rabbitmq_url=cable.url)
        cast = await _cast(wire)
        await relay.join()
        cable.hold()
        await cast.send_rounds(1)
        await eventually(lambda: _all_given_out(wire), "the broker has given out the first round")
        leaving = asyncio.create_task(relay.first_leaves())
        # However the leaving one does it: either the next worker is fed before the first round arrives, or it is not.
        with contextlib.suppress(AssertionError):
            await _next_is_fed(wire, cast)
        await cast.send_rounds(1)
        with contextlib.suppress(AssertionError):
            await announced(wire, cast.sent[-HEROES:], within_seconds=2)
        cable.release()
        await leaving
        await announced(wire, cast.sent)
    await cast.assert_in_order(stage)


async def _all_given_out(wire: Wire) -> bool:
    return sum([await wire.depth(queue) for queue in command_queues()]) == 0


async def _next_is_fed(wire: Wire, cast: Cast) -> None:
    """A command that changes nothing is answered, while the worker before hears nothing."""
    probe = update(2**62, {"age": 0})
    await wire.publish(probe.to_json(), "no slot")
    cast.sent.append(probe)
    await announced(wire, [probe], within_seconds=2)


@dataclass(slots=True)
class Relay:
    """Workers in the order in which they came."""

    stage: Stage
    at_work: list[AsyncExitStack]
    joined: int = 0

    async def join(self, **settings: Any) -> None:
        """One more worker takes commands."""
        self.joined += 1
        stack = AsyncExitStack()
        named = {"worker_id": f"worker {self.joined}", **settings}
        await stack.enter_async_context(running_worker(self.stage.settings(**named)))
        self.at_work.append(stack)

    async def first_leaves(self) -> None:
        """The oldest worker has left as it should."""
        await self.at_work.pop(0).aclose()


@asynccontextmanager
async def _relay(stage: Stage) -> AsyncIterator[Relay]:
    relay = Relay(stage, [])
    try:
        yield relay
    finally:
        while relay.at_work:
            await relay.first_leaves()
