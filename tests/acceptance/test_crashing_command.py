"""A command that ends the process is set aside alone; whatever stood beside it is applied as if nothing had been."""

import asyncio
from itertools import count

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.crasher import CRASHED, FATAL, crasher
from tests.harness.ledger import everything_heard
from tests.harness.program import Program
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of

GOOD, MOST_CRASHES = 200, 20


async def _until_all_have_an_event(stage: Stage, wire: Wire, commands: list[Command]) -> int:
    """Runs the worker again and again, as a supervisor does; how often it crashed."""
    missing = {command.id for command in commands}
    for crashes in count():
        assert crashes <= MOST_CRASHES, f"{len(missing)} commands have no event yet"
        async with crasher(stage.environment(HEROES_WORKER_ID="crasher")) as program:
            if not await _ended_before(program, wire, missing):
                return crashes
            assert await program.ended() == CRASHED, program.output
    raise AssertionError


async def _ended_before(program: Program, wire: Wire, missing: set[str]) -> bool:
    """The program ended before every command had an event."""
    seen = 0
    while program.process.returncode is None:
        fresh, seen = wire.events[seen:], len(wire.events)
        missing.difference_update(document(message)["causationid"] for message in fresh)
        if not missing:
            return False
        await asyncio.sleep(0.05)
    return True


async def test_200_commands_around_2_that_end_the_process_are_applied_and_only_those_2_are_set_aside(
    stage: Stage, wire: Wire
) -> None:
    good: list[Command] = [create(name=f"Good {number}") for number in range(GOOD)]
    fatal: list[Command] = [create(name=f"{FATAL} {number}") for number in range(2)]
    commands = [*good[:70], fatal[0], *good[70:140], fatal[1], *good[140:]]
    for command in commands:
        await wire.send(command)

    crashes = await _until_all_have_an_event(stage, wire, commands)

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    letters = await wire.letters_of(lambda _: True, 2)
    assert sorted(letter.body for letter in letters) == sorted(command.to_json() for command in fatal)
    assert {reason_of(letter) for letter in letters} == {"crashed_worker"}
    rows = await stage.rows("SELECT outcome, count(*) FROM inbox GROUP BY outcome")
    assert {row["outcome"]: row["count"] for row in rows} == {"applied": GOOD, "dead_lettered": 2}
    assert await stage.rows("SELECT * FROM suspect") == []
    assert crashes >= 2 * 2, "it was no accident"
    print(f"{crashes} crashes")
