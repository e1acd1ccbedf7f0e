"""A command's connection serves the next one, too, but never where its end is unknown or somebody holds on to it."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.stage import Stage, eventually
from tests.harness.transacted import ADA, BY_HAND, backend, by, cut, error_of, names
from worker.errors import DatabaseUnavailableError, StatementFailedError
from worker.failsafe import caught
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.sqlstate import translated
from worker.persistence.transactions import Driver


@pytest.mark.parametrize("door", ["driver", "session"])
async def test_after_a_statement_that_was_refused_the_connection_stays(database: Database, door: str) -> None:
    before = await backend(database)

    async def fail(driver: Driver, session: AsyncSession) -> None:
        await by(door, "SELECT 1/0", driver, session)

    assert isinstance(translated(await error_of(database, fail)), StatementFailedError)
    assert await backend(database) == before


async def test_who_has_taken_the_connection_itself_shares_it_with_no_other_command(
    database: Database, stage: Stage
) -> None:
    async with database.transactions.begin() as (_, session):
        kept = await session.connection()
        await kept.execution_options(schema_translate_map={None: "elsewhere"})
    async with database.transactions.begin() as (_, session):
        await session.execute(insert(HERO), ADA)
        assert "closed" in str(await caught(kept.execute, insert(HERO), ADA))
    assert await names(stage) == ["Ada"]


async def test_an_outage_met_by_the_begin_is_an_outage(database: Database) -> None:
    before = await backend(database)
    await cut(database, before)

    async def nothing(_: Driver, __: AsyncSession) -> None:
        pass

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("worker.persistence.database._is_closed", lambda _: False)  # the client has not noticed yet
        assert isinstance(await error_of(database, nothing), DatabaseUnavailableError)
    assert await backend(database) != before


async def test_a_session_is_of_no_use_after_its_transaction(database: Database, stage: Stage) -> None:
    """Its connection works for the next command by then."""
    async with database.transactions.begin() as (_, kept):
        await kept.execute(insert(HERO), ADA)
    async with database.transactions.begin():
        failure = await caught(kept.execute, insert(HERO), ADA)
    assert "closed" in str(failure)
    assert await names(stage) == ["Ada"]


async def test_a_connection_is_kept_for_the_next_command_and_closed_in_the_end(
    database: Database, stage: Stage
) -> None:
    before = await backend(database)
    assert await backend(database) == before
    await database.close()

    async def gone() -> bool:
        return not await stage.rows("SELECT pid FROM pg_stat_activity WHERE pid = $1", before)

    await eventually(gone, "its connection is closed")


async def test_after_an_outage_no_kept_connection_is_used(database: Database) -> None:
    before = await backend(database)
    await database.renew()
    assert await backend(database) != before


@pytest.mark.parametrize("door", ["driver", "session"])
async def test_a_connection_that_was_cut_is_an_outage_and_the_next_one_is_new(database: Database, door: str) -> None:
    before = await backend(database)

    async def meet_it(driver: Driver, session: AsyncSession) -> None:
        await cut(database, before)
        await by(door, "SELECT 1", driver, session)

    assert isinstance(translated(await error_of(database, meet_it)), DatabaseUnavailableError)
    assert await backend(database) != before


async def test_a_connection_that_was_cut_while_nobody_had_it_is_replaced(database: Database) -> None:
    before = await backend(database)
    await cut(database, before)
    await caught(backend, database)  # it may be found out only now
    assert await backend(database) != before


@pytest.mark.parametrize("step", ["start", "commit", "rollback"])
async def test_a_connection_whose_transaction_may_be_open_is_never_used_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    before = await backend(database)

    async def work(driver: Driver, _: AsyncSession) -> None:
        await driver.execute(BY_HAND)
        if step == "rollback":
            raise ZeroDivisionError

    async def hangs(self: Any) -> None:
        raise TimeoutError

    with monkeypatch.context() as patched:
        patched.setattr(f"asyncpg.transaction.Transaction.{step}", hangs)
        assert isinstance(translated(await error_of(database, work)), DatabaseUnavailableError)
    assert await backend(database) != before


@pytest.mark.parametrize("door", ["driver", "session"])
async def test_a_cancellation_stays_one(database: Database, door: str) -> None:
    """And is no outage: SQLAlchemy closes a connection whose statement was cancelled."""
    started = asyncio.Event()

    async def work() -> None:
        async with database.transactions.begin() as (driver, session):
            started.set()
            await by(door, "SELECT pg_sleep(5)", driver, session)

    task = asyncio.create_task(work())
    await started.wait()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
