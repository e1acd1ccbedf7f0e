"""The inbox on a real PostgreSQL: one claim for each id, also among twins, and one outcome for every later delivery."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from contracts.envelope import Command
from tests.harness.claims import TIME, handle, look, outcome_of, undone
from tests.harness.commands import create
from tests.harness.stage import Stage, eventually
from worker.outcomes import Fact, Letter, Outcome, Reason, Rejection, applied, dead_lettered, rejected
from worker.persistence import inbox
from worker.persistence.database import Database
from worker.persistence.inbox import Claim


async def test_a_new_command_is_claimed_with_the_databases_clock(database: Database) -> None:
    command = create()
    async with database.transactions.begin() as (driver, session):
        before = await session.scalar(text("SELECT clock_timestamp()"))
        claim = await inbox.claim(driver, command)
        after = await session.scalar(text("SELECT clock_timestamp()"))
    assert isinstance(claim, Claim)
    assert claim.command is command
    assert before < claim.now < after


@pytest.mark.parametrize("kind", ["applied", "rejected", "dead_lettered"])
async def test_an_outcome_stands_for_every_later_delivery(database: Database, kind: str) -> None:
    command = create()
    outcome = {
        "applied": outcome_of(command),
        "rejected": rejected(command, Rejection("hero_not_found", "there is no hero 7", "7"), TIME),
        "dead_lettered": dead_lettered(command, Letter(Reason.HANDLER_FAILED, "KeyError", 3), TIME),
    }[kind]
    async with database.transactions.begin() as (driver, _):
        await inbox.claim(driver, command)
        await inbox.record(driver, outcome)
    found = await look(database, command)
    assert isinstance(found, Outcome)
    assert (found.command_id, found.kind, found.published, found.recorded) == (command.id, kind, False, True)
    assert [event.body for event in found.events] == [event.body for event in outcome.events]
    assert bool(found.letter) == (kind == "dead_lettered")


@pytest.mark.parametrize(
    "value", ["\\u0000 in words", "é\u2028🐎\x7f", 2**63 - 1, -(2**63), {"b": 1, "a": [None, True]}]
)
async def test_events_come_out_of_the_database_byte_for_byte(database: Database, value: Any) -> None:
    command = create()
    outcome = applied(command, [Fact("hero.created", None, {"value": value, "zz": 1, "a": 2})], TIME)
    async with database.transactions.begin() as (driver, _):
        await inbox.claim(driver, command)
        await inbox.record(driver, outcome)
    found = await look(database, command)
    assert isinstance(found, Outcome)
    assert [event.body for event in found.events] == [event.body for event in outcome.events]


async def test_a_rollback_frees_the_claim(database: Database) -> None:
    command = create()
    async with undone(database) as driver:
        await handle(driver, command)
    assert isinstance(await look(database, command), Claim)


@pytest.mark.parametrize("ended", ["COMMIT", "ROLLBACK"])
async def test_nothing_is_recorded_where_the_transaction_was_ended(database: Database, ended: str) -> None:
    """By a handler, in SQL: its outcome must not be announced as if it were true."""
    command = create()
    with pytest.raises(RuntimeError, match="ended its transaction"):
        await _end_and_record(database, command, ended)
    assert all(row["outcome"] is None for row in await _rows(database))


async def _end_and_record(database: Database, command: Command, ended: str) -> None:
    async with database.transactions.begin() as (driver, session):
        await inbox.claim(driver, command)
        await session.execute(text(ended))
        await inbox.record(driver, outcome_of(command))


async def _rows(database: Database) -> list[Any]:
    async with database.side_sessions() as session:
        return list((await session.execute(text("SELECT outcome FROM inbox"))).mappings())


async def test_a_twin_waits_and_then_sees_the_outcome(database: Database, stage: Stage) -> None:
    command = create()
    async with database.transactions.begin() as (driver, _):
        outcome = await handle(driver, command)
        twin = asyncio.create_task(look(database, command))
        await eventually(lambda: _somebody_waits(stage), "the twin waits for a lock")
        assert not twin.done()
    found = await twin
    assert isinstance(found, Outcome)
    assert found.events[0].body == outcome.events[0].body


async def test_a_twin_claims_when_the_first_one_fails(database: Database, stage: Stage) -> None:
    command = create()
    async with undone(database) as driver:
        await handle(driver, command)
        twin = asyncio.create_task(look(database, command))
        await eventually(lambda: _somebody_waits(stage), "the twin waits for a lock")
    assert isinstance(await twin, Claim)


async def _somebody_waits(stage: Stage) -> bool:
    question = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return bool(await stage.rows(question))


async def test_of_many_twins_exactly_one_claims(database: Database) -> None:
    command = create()

    async def run() -> bool:
        async with database.transactions.begin() as (driver, _):
            claim = await inbox.claim(driver, command)
            if isinstance(claim, Claim):
                await inbox.record(driver, outcome_of(command))
            return isinstance(claim, Claim)

    assert sum(await asyncio.gather(*(run() for _ in range(8)))) == 1


async def test_different_commands_do_not_wait_for_each_other(database: Database) -> None:
    async with database.transactions.begin() as (driver, _):
        await handle(driver, create())
        async with asyncio.timeout(1):
            assert isinstance(await look(database, create()), Claim)
