"""A rehearsal meets what the command would meet, and leaves nothing behind."""

from typing import Any

import pytest

from contracts.envelope import rfc3339
from tests.harness.commands import create
from tests.harness.stage import Stage
from tests.harness.transacted import names
from worker import heroes
from worker.errors import DatabaseUnavailableError
from worker.outcomes import Outcome, applied
from worker.persistence.database import Database
from worker.persistence.inbox import Claim
from worker.persistence.pace import Pace
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects
from worker.persistence.unit_of_work import UnitOfWork


@pytest.fixture
def unit(database: Database) -> UnitOfWork:
    """As a worker has it, with one connection."""
    return UnitOfWork(database.transactions, Permits(1), Suspects(database.side_sessions), Pace())


async def _create(session: Any, claim: Claim) -> Outcome:
    handled = await heroes.create(session, claim.command.data)
    assert isinstance(handled, list)
    return applied(claim.command, handled, rfc3339(claim.now))


async def test_nothing_of_it_is_true_and_the_command_can_still_take_effect(unit: UnitOfWork, stage: Stage) -> None:
    command = create(name="Ada")
    for _ in range(3):
        await unit.rehearse(command, _create)
        assert await names(stage) == []
        assert await stage.inbox(command.id) is None
    await unit.run(command, _create)
    assert await names(stage) == ["Ada"]


async def test_of_what_has_taken_effect_it_repeats_nothing(unit: UnitOfWork, stage: Stage) -> None:
    command = create(name="Ada")
    await unit.run(command, _create)
    row = await stage.inbox(command.id)
    await unit.rehearse(command, _create)
    assert (await names(stage), await stage.inbox(command.id)) == (["Ada"], row)


async def test_what_it_meets_is_raised_and_the_connection_goes_on(unit: UnitOfWork, stage: Stage) -> None:
    async def meets_an_outage(session: Any, claim: Claim) -> Outcome:
        await _create(session, claim)
        raise DatabaseUnavailableError("no room on the disk")

    command = create(name="Ada")
    with pytest.raises(DatabaseUnavailableError):
        await unit.rehearse(command, meets_an_outage)
    assert await names(stage) == []
    await unit.run(command, _create)
    assert await names(stage) == ["Ada"]
