"""The transaction of a command on a real PostgreSQL: all or nothing, and no connection is used whose end is unknown."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import event, insert, text
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import DeclarativeBase, Session

from tests.harness.stage import Stage, eventually
from worker.errors import DatabaseUnavailableError, StatementFailedError
from worker.failsafe import Failure, caught
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.sqlstate import translated
from worker.persistence.transactions import Driver

Work = Callable[[Driver, AsyncSession], Awaitable[None]]
ADA: dict[str, Any] = {"name": "Ada", "secret_name": "s", "age": 1}
BY_HAND = "INSERT INTO hero (name, secret_name) VALUES ('Eve', 's')"


@pytest_asyncio.fixture(loop_scope="session")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """One connection, so that each transaction gets the one of the transaction before."""
    one = Database.of(stage.database_url, pool_size=1, statement_timeout_seconds=1)
    async with one.side_sessions.begin() as session:
        await session.execute(text("TRUNCATE hero"))
    yield one
    await one.close()


async def names(stage: Stage) -> list[str]:
    return sorted(row["name"] for row in await stage.rows("SELECT name FROM hero"))


async def backend(database: Database) -> int:
    async with database.transactions.begin() as (driver, _):
        return int(await driver.fetchval("SELECT pg_backend_pid()"))


async def cut(database: Database, pid: int) -> None:
    """The server has ended that connection."""
    terminate = text("SELECT pg_terminate_backend(:pid, 5000)").bindparams(pid=pid)
    async with database.side_sessions() as session:
        assert await session.scalar(terminate)


async def test_what_both_doors_wrote_becomes_true_together(database: Database, stage: Stage) -> None:
    async with database.transactions.begin() as (driver, session):
        await driver.execute(BY_HAND)
        await session.execute(insert(HERO), ADA)
        assert await session.scalar(text("SELECT count(*) FROM hero")) == 2
        assert await names(stage) == []
    assert await names(stage) == ["Ada", "Eve"]


async def error_of(database: Database, work: Work) -> Exception:
    """What a transaction raised that does this."""

    async def run() -> None:
        async with database.transactions.begin() as (driver, session):
            await work(driver, session)

    failure = await caught(run)
    assert isinstance(failure, Failure), "nothing was raised"
    return failure.error


async def by(door: str, statement: str, driver: Driver, session: AsyncSession) -> None:
    if door == "driver":
        await driver.execute(statement)
    else:
        await session.execute(text(statement))


async def test_where_it_raises_nothing_is_true_and_the_connection_stays(database: Database, stage: Stage) -> None:
    before = await backend(database)

    async def fail(driver: Driver, session: AsyncSession) -> None:
        await driver.execute(BY_HAND)
        await session.execute(insert(HERO), ADA)
        raise ZeroDivisionError

    assert isinstance(await error_of(database, fail), ZeroDivisionError)
    assert await names(stage) == []
    assert await backend(database) == before


@pytest.mark.parametrize("door", ["driver", "session"])
async def test_after_a_statement_that_was_refused_the_connection_stays(database: Database, door: str) -> None:
    before = await backend(database)

    async def fail(driver: Driver, session: AsyncSession) -> None:
        await by(door, "SELECT 1/0", driver, session)

    assert isinstance(translated(await error_of(database, fail)), StatementFailedError)
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
