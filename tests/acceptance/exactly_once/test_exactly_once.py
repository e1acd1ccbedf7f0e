"""A command takes effect once, however often it is sent, whether it was applied or set aside."""

import asyncio
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from tests.harness.commands import create, delete, update
from tests.harness.effects import assert_inbox_holds, heroes_of
from tests.harness.ledger import announced, everything_heard, leftovers, send_all
from tests.harness.program import working
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of
from worker.app import running_worker
from worker.ours import OURS
from worker.outcomes import Handled
from worker.retry import Backoff, RetryPolicy


@pytest.mark.parametrize("count", [300, pytest.param(2000, marks=pytest.mark.fault)])
async def test_many_commands_with_duplicates_among_them_leave_one_trace_each(
    stage: Stage, wire: Wire, count: int
) -> None:
    chance = random.Random(2026)  # noqa: S311 - a schedule, no secret
    creates = [create(name=f"Hero {number}", age=0) for number in range(count)]
    sent_again = [*creates[::10], *creates[::20]]  # every tenth twice, every twentieth three times

    async with working(stage):
        await send_all(wire, _shuffled_in(creates, sent_again, chance))
        await announced(wire, creates)
        heroes = heroes_of(wire, creates)
        first = [update(hero_id, {"age": 1}) for hero_id in heroes[:200]]
        await send_all(wire, _shuffled_in(first, chance.sample(first, 40), chance))
        second = [update(hero_id, {"age": 2}) for hero_id in heroes[:100]]
        late = [*chance.sample(first, 20), *chance.sample(creates, 20)]
        await send_all(wire, _shuffled_in(second, [*chance.sample(second, 20), *late], chance))
        deletes = [delete(hero_id) for hero_id in heroes[:50]]
        late = [*chance.sample(first, 20), *chance.sample(second, 20)]
        await send_all(wire, _shuffled_in(deletes, [*chance.sample(deletes, 10), *late], chance))
        commands: list[Command] = [*creates, *first, *second, *deletes]
        await announced(wire, commands)

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert await leftovers(stage) == []
    assert wire.letters == []
    rows = await stage.rows("SELECT name, age, version FROM hero")
    assert {row["name"]: (row["age"], row["version"]) for row in rows} == {
        f"Hero {number}": (2, 3) if number < 100 else (1, 2) if number < 200 else (0, 1) for number in range(50, count)
    }
    assert len(rows) == count - 50
    await assert_inbox_holds(stage, commands)


def _shuffled_in(commands: Sequence[Command], again: Sequence[Command], chance: random.Random) -> list[Command]:
    """The commands in their order with copies after them: half of these right after their original, half anywhere."""
    place = {command.id: float(number) for number, command in enumerate(commands)}
    placed = [(place[command.id], command) for command in commands]
    for number, copy in enumerate(again):
        original = place.get(copy.id, -1.0)
        placed.append((original + 0.5 if number % 2 else chance.uniform(original + 0.5, len(commands)), copy))
    return [command for _, command in sorted(placed, key=lambda item: item[0])]


async def test_a_twin_of_a_dead_lettered_command_is_acknowledged_and_changes_nothing(stage: Stage, wire: Wire) -> None:
    calls = 0

    async def broken(_: AsyncSession, __: Any) -> Handled:
        nonlocal calls
        calls += 1
        raise ZeroDivisionError

    hasty = RetryPolicy(bug=Backoff(attempts=2, total_seconds=0.02))
    command = create(name="Doomed")
    async with running_worker(stage.settings(), replace(OURS, handlers={"hero.create": broken}, retry=hasty)):
        event = await wire.outcome(command)
        assert event["data"]["reason"] == "handler_failed"
        (letter,) = await wire.letters_of(lambda one: command.id.encode() in one.body)
        assert reason_of(letter) == "handler_failed"
        await asyncio.gather(*(wire.send(command) for _ in range(3)))

    # A worker whose handlers are well finds the outcome as well.
    async with running_worker(stage.settings()):
        await wire.send(command)
        await wire.outcome(_another_in_the_slot_of(command))

    assert calls == 2
    assert await leftovers(stage) == []
    ledger = await everything_heard(wire)
    assert ledger.ids_of[command.id] == [event["id"]]
    assert len([one for one in map(document, wire.events) if one["causationid"] == command.id]) == 1
    assert len(wire.letters) == 1
    assert await stage.rows("SELECT id FROM hero WHERE name = 'Doomed'") == []
    row = await stage.inbox(command.id)
    assert row is not None
    assert row["outcome"] == "dead_lettered"


def _another_in_the_slot_of(command: Command) -> Command:
    """A create that stands behind it in the same queue."""
    while (other := create(name="Alive")).routing_key != command.routing_key:
        pass
    return other
