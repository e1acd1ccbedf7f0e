"""A suspect is handled with no other command at work, and holds up nobody for longer than that."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from sqlalchemy import text

from contracts.envelope import rfc3339
from tests.harness.commands import create
from tests.harness.stage import Stage, eventually
from tests.integration.suspects.conftest import starts
from worker.errors import HeldBackError
from worker.outcomes import Outcome, applied
from worker.persistence.database import Database
from worker.persistence.inbox import Claim
from worker.persistence.pace import Pace
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects
from worker.persistence.unit_of_work import Decide, UnitOfWork

PARTS = ("before", "suspect", "beside")
_LOCK = text("SELECT FROM suspect WHERE command_id = :id FOR UPDATE")


@pytest.fixture
def unit(database: Database, permits: Permits, suspects: Suspects) -> UnitOfWork:
    """As a worker has it."""
    return UnitOfWork(database.transactions, permits, suspects, Pace())


def _deciding(work: Callable[[], Awaitable[object]]) -> Decide:
    """Applies a command by this work, without a fact to tell."""

    async def decide(_: Any, claim: Claim) -> Outcome:
        await work()
        return applied(claim.command, [], rfc3339(claim.now))

    return decide


async def _never(_: Any, claim: Claim) -> Outcome:
    raise AssertionError(f"it must not come to {claim}")


async def test_an_end_that_can_not_be_written_holds_up_nobody(
    database: Database, unit: UnitOfWork, permits: Permits
) -> None:
    command = create()
    async with database.sessions.begin() as session:

        async def fail() -> None:
            await session.execute(_LOCK, {"id": command.id})
            raise ValueError("failed")

        with pytest.raises(ValueError, match="failed"):
            await unit.run_alone(command, _deciding(fail), _never)
        async with asyncio.timeout(5), permits.all():
            pass
        async with asyncio.timeout(5):
            await unit.run_alone(create(), _deciding(lambda: asyncio.sleep(0)), _never)


async def test_nobody_begins_before_a_good_end_is_on_record(
    stage: Stage, database: Database, unit: UnitOfWork, permits: Permits
) -> None:
    """If the next one ended the process, the start of the good one would stand there without an end, too."""
    command = create()
    async with database.sessions.begin() as session:
        decide = _deciding(lambda: session.execute(_LOCK, {"id": command.id}))
        ending = asyncio.create_task(unit.run_alone(command, decide, _never))

        async def end_waits_for_the_row() -> bool:
            waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return bool(await stage.rows(waiting)) or ending.done()

        await eventually(end_waits_for_the_row, "the end is being written")
        assert not ending.done()
        assert permits._permits._value == 0
    await ending
    assert await starts(stage, command.id) == 0


async def test_nothing_else_is_at_work_beside_a_suspect(unit: UnitOfWork, permits: Permits) -> None:
    at_it, leave = {name: asyncio.Event() for name in PARTS}, {name: asyncio.Event() for name in PARTS}

    def part(name: str) -> Decide:
        async def work() -> None:
            at_it[name].set()
            await leave[name].wait()

        return _deciding(work)

    async def holds_the_rest() -> bool:
        return permits._permits._value == 0

    async with asyncio.timeout(20):
        before = asyncio.create_task(unit.run(create(), part("before")))
        await at_it["before"].wait()
        suspect = asyncio.create_task(unit.run_alone(create(), part("suspect"), _never))
        await eventually(holds_the_rest, "the suspect has every permit but one")
        assert not at_it["suspect"].is_set()
        leave["before"].set()
        await at_it["suspect"].wait()
        beside = [asyncio.create_task(unit.run(create(), part("beside"))) for _ in range(2)]
        assert await _is_at_work(unit) == 1
        assert not at_it["beside"].is_set()
        leave["suspect"].set()
        await at_it["beside"].wait()
        leave["beside"].set()
        await asyncio.gather(before, suspect, *beside)


async def _is_at_work(unit: UnitOfWork) -> int:
    """So many transactions, after everybody had time to begin one."""
    for _ in range(100):
        await asyncio.sleep(0)
    return unit.transactions.in_use


async def test_a_suspect_that_may_not_begin_yet_has_no_start_on_record_and_holds_no_permit(
    stage: Stage, database: Database, suspects: Suspects, permits: Permits
) -> None:
    asked = 0

    class Full(Pace):
        def require_room(self) -> None:
            nonlocal asked
            asked += 1
            assert permits._permits._value == 0, "it asks when nobody else can take the room any more"
            raise HeldBackError(asyncio.Event().wait)

    command = create()
    with pytest.raises(HeldBackError):
        await UnitOfWork(database.transactions, permits, suspects, Full()).run_alone(command, _never, _never)
    assert asked == 1
    assert await starts(stage, command.id) == 0
    async with asyncio.timeout(5), permits.all():
        pass


async def test_who_is_cancelled_while_waiting_to_be_alone_gives_everything_back(
    unit: UnitOfWork, permits: Permits
) -> None:
    async with permits.one():
        waiting = asyncio.create_task(unit.run_alone(create(), _never, _never))

        async def has_the_rest() -> bool:
            return permits._permits._value == 0

        await eventually(has_the_rest, "all but one permit are taken")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), permits.all():
        pass
