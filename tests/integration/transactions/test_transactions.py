"""The transaction of a command on a real PostgreSQL: all that was written in it becomes true together, or nothing."""

import asyncio
from collections.abc import Callable

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Session

from tests.harness.stage import Stage
from tests.harness.transacted import ADA, BY_HAND, backend, error_of, names
from worker.failsafe import Failure, caught
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.transactions import Driver


async def test_what_both_doors_wrote_becomes_true_together(database: Database, stage: Stage) -> None:
    async with database.transactions.begin() as (driver, session):
        await driver.execute(BY_HAND)
        await session.execute(insert(HERO), ADA)
        assert await session.scalar(text("SELECT count(*) FROM hero")) == 2
        assert await names(stage) == []
    assert await names(stage) == ["Ada", "Eve"]


async def test_where_it_raises_nothing_is_true_and_the_connection_stays(database: Database, stage: Stage) -> None:
    before = await backend(database)

    async def fail(driver: Driver, session: AsyncSession) -> None:
        await driver.execute(BY_HAND)
        await session.execute(insert(HERO), ADA)
        raise ZeroDivisionError

    assert isinstance(await error_of(database, fail), ZeroDivisionError)
    assert await names(stage) == []
    assert await backend(database) == before


async def test_a_savepoint_undoes_a_part(database: Database, stage: Stage) -> None:
    async def part(session: AsyncSession) -> None:
        async with session.begin_nested():
            await session.execute(insert(HERO), ADA)
            await session.execute(text("SELECT 1/0"))

    async with database.transactions.begin() as (driver, session):
        await driver.execute(BY_HAND)
        assert isinstance(await caught(part, session), Failure)
    assert await names(stage) == ["Eve"]


@pytest.mark.parametrize("ending", [Session.rollback, Session.close, Session.reset])
async def test_a_rollback_behind_our_back_keeps_nothing(
    database: Database, stage: Stage, ending: Callable[[Session], None]
) -> None:
    async def end(_: Driver, session: AsyncSession) -> None:
        await session.execute(insert(HERO), ADA)
        await session.run_sync(ending)

    await caught(error_of, database, end)
    assert await names(stage) == []


@pytest.mark.parametrize("sent", [0, 1])
async def test_an_open_savepoint_is_committed_with_the_rest(database: Database, stage: Stage, sent: int) -> None:
    async with database.transactions.begin() as (driver, session):
        await driver.execute(BY_HAND)
        await session.begin_nested()
        for _ in range(sent):
            await session.execute(insert(HERO), ADA)
    assert await names(stage) == [*["Ada"] * sent, "Eve"]


async def test_what_a_listener_adds_at_the_end_is_written_too(database: Database, stage: Stage) -> None:
    def add(session: Session) -> None:
        session.execute(insert(HERO), ADA)

    async with database.transactions.begin() as (_, session):
        event.listen(session.sync_session, "before_commit", add)
    assert await names(stage) == ["Ada"]


@pytest.mark.parametrize("ending", ["commit", "rollback"])
async def test_a_handler_that_ends_the_transaction_is_told_and_changes_nothing(
    database: Database, stage: Stage, ending: str
) -> None:
    async def end(_: Driver, session: AsyncSession) -> None:
        await session.execute(insert(HERO), ADA)
        await getattr(session, ending)()

    assert "a handler never" in str(await error_of(database, end))
    assert await names(stage) == []


async def test_what_a_handler_leaves_in_its_session_is_written_too(database: Database, stage: Stage) -> None:
    """For those who prefer the unit of work of the ORM."""

    class Base(DeclarativeBase):
        pass

    class Hero(Base):
        __table__ = HERO

    async with database.transactions.begin() as (_, session):
        session.add(Hero(**ADA))
    assert await names(stage) == ["Ada"]


async def test_an_open_savepoint_keeps_no_connection(database: Database, stage: Stage) -> None:
    async with database.transactions.begin() as (_, session):
        await session.begin_nested()
        await session.execute(insert(HERO), ADA)
    assert await names(stage) == ["Ada"]
    assert database.in_use == 0


async def test_what_a_handler_began_by_itself_undoes_what_it_undoes(database: Database, stage: Stage) -> None:
    async def begin(_: Driver, session: AsyncSession) -> None:
        async with session.begin():
            await session.execute(insert(HERO), ADA)

    assert "already begun" in str(await error_of(database, begin))
    assert await names(stage) == []


async def test_a_cancelled_transaction_leaves_no_trace_and_nothing_open(database: Database, stage: Stage) -> None:
    started = asyncio.Event()

    async def work() -> None:
        async with database.transactions.begin() as (driver, session):
            await session.execute(insert(HERO), ADA)
            started.set()
            await driver.execute("SELECT pg_sleep(5)")

    task = asyncio.create_task(work())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await names(stage) == []
    assert await backend(database)
