"""A command that ends the process is set aside alone; whatever stood beside it is applied as if nothing had been."""

import signal
from itertools import count

import pytest

from contracts.envelope import Command
from tests.harness.commands import create
from tests.harness.crasher import CRASHED, FATAL, crasher
from tests.harness.ledger import everything_heard
from tests.harness.program import Program
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of

MOST_CRASHES = 20


async def _until_all_have_an_event(stage: Stage, wire: Wire, commands: list[Command]) -> int:
    """Runs the worker again and again, as a supervisor does; how often it crashed before it left in good order."""
    missing = {command.id for command in commands}
    for crashes in count():
        assert crashes <= MOST_CRASHES, f"{len(missing)} commands have no event yet"
        async with crasher(stage.environment(HEROES_WORKER_ID="crasher")) as program:
            if not await _ended_before(program, wire, missing):
                program.tell(signal.SIGTERM)  # killed, it would leave the start of whatever copy it had just begun
                assert await program.ended() == 0, program.output
                return crashes
            assert await program.ended() == CRASHED, program.output
    raise AssertionError


async def _ended_before(program: Program, wire: Wire, missing: set[str]) -> bool:
    """The program ended before every command had an event."""
    seen = 0

    async def is_over() -> bool:
        nonlocal seen
        fresh, seen = wire.events[seen:], len(wire.events)
        missing.difference_update(document(message)["causationid"] for message in fresh)
        return not missing or program.process.returncode is not None

    await eventually(is_over, "every command has an event, or the program ends", within_seconds=60)
    return bool(missing)


@pytest.mark.parametrize(
    ("good_ones", "fatal_ones"), [pytest.param(20, 1), pytest.param(200, 2, marks=pytest.mark.fault)]
)
async def test_of_commands_around_some_that_end_the_process_only_those_are_set_aside(
    stage: Stage, wire: Wire, good_ones: int, fatal_ones: int
) -> None:
    await stage.rows("TRUNCATE inbox")
    good: list[Command] = [create(name=f"Good {number}") for number in range(good_ones)]
    fatal: list[Command] = [create(name=f"{FATAL} {number}") for number in range(fatal_ones)]
    commands = list(good)
    for number, command in enumerate(fatal):
        commands.insert((number + 1) * good_ones // (fatal_ones + 1), command)
    for command in commands:
        await wire.send(command)

    crashes = await _until_all_have_an_event(stage, wire, commands)

    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    letters = await wire.letters_of(lambda _: True, fatal_ones)
    assert sorted(letter.body for letter in letters) == sorted(command.to_json() for command in fatal)
    assert {reason_of(letter) for letter in letters} == {"crashed_worker"}
    rows = await stage.rows("SELECT outcome, count(*) FROM inbox GROUP BY outcome")
    assert {row["outcome"]: row["count"] for row in rows} == {"applied": good_ones, "dead_lettered": fatal_ones}
    assert await stage.rows("SELECT * FROM suspect") == []
    assert crashes >= 2 * fatal_ones, "it was no accident"
