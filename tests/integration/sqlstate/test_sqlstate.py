"""What a real PostgreSQL and the real driver say, and what the worker makes of it: an attempt, an outage or a bug."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tests.harness.stage import Stage
from worker.errors import DatabaseUnavailableError, StatementFailedError
from worker.failsafe import Failure, caught
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.sqlstate import translated

STATEMENT_TIMEOUT_SECONDS = 0.3
Work = Callable[[AsyncConnection], Awaitable[object]]


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """The worker's own engine, with a statement time-out that a test can wait for."""
    one = Database.of(stage.database_url, pool_size=4, statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS)
    async with one.side_engine.begin() as connection:
        await connection.execute(text("CREATE TABLE account (id integer PRIMARY KEY, amount smallint)"))
        await connection.execute(text("INSERT INTO account VALUES (1, 1), (2, 2)"))
    yield one
    await one.close()


@asynccontextmanager
async def engine_for(url: str, **options: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


async def error_of(work: Callable[[], Awaitable[object]]) -> Exception:
    failure = await caught(work)
    assert isinstance(failure, Failure), "nothing was raised"
    return failure.error


async def failing(engine: AsyncEngine, *statements: str) -> Exception:
    """What came of these statements in one transaction."""

    async def run() -> None:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return await error_of(run)


async def failing_by_hand(database: Database, *statements: str) -> Exception:
    """The same over the driver, in a command's transaction."""

    async def run() -> None:
        async with database.transactions.begin() as (driver, _):
            for statement in statements:
                await driver.execute(statement)

    return await error_of(run)


def assert_costs_an_attempt(error: Exception, sqlstate: str) -> None:
    meaning = translated(error)
    assert isinstance(meaning, StatementFailedError), repr(error)
    assert meaning.sqlstate == sqlstate


def assert_away(error: Exception, says: str = "") -> None:
    meaning = translated(error)
    assert isinstance(meaning, DatabaseUnavailableError), repr(error)
    assert says in str(meaning)


@pytest.mark.parametrize(
    ("sqlstate", "statements"),
    [
        ("23505", ["INSERT INTO account VALUES (1, 1)"]),
        ("23502", ["INSERT INTO account VALUES (NULL, 1)"]),
        ("22003", ["INSERT INTO account VALUES (3, 40000)"]),
        ("22012", ["SELECT 1 / 0"]),
        ("22P02", ["SELECT 'x'::integer"]),
        ("42601", ["SELEC 1"]),
        ("57014", ["SELECT pg_sleep(5)"]),
        ("25P02", ["SAVEPOINT s", "ROLLBACK TO s", "DO $$ BEGIN RAISE SQLSTATE '25P02'; END $$"]),
        ("40001", ["DO $$ BEGIN RAISE SQLSTATE '40001'; END $$"]),
        ("P0001", ["DO $$ BEGIN RAISE 'no'; END $$"]),
    ],
)
async def test_what_a_live_server_refuses_costs_an_attempt(
    database: Database, sqlstate: str, statements: list[str]
) -> None:
    assert_costs_an_attempt(await failing(database.side_engine, *statements), sqlstate)
    assert_costs_an_attempt(await failing_by_hand(database, *statements), sqlstate)


@pytest.mark.parametrize(
    ("sqlstate", "statements"),
    [
        ("42P01", ["SELECT * FROM no_such_table"]),
        ("42703", ["SELECT no_such_column FROM account"]),
        ("42501", ["CREATE ROLE nobody_{}", "SET LOCAL ROLE nobody_{}", "SELECT * FROM account"]),
        ("25006", ["SET TRANSACTION READ ONLY", "INSERT INTO account VALUES (3, 1)"]),
        ("53200", ["DO $$ BEGIN RAISE SQLSTATE '53200'; END $$"]),
        ("57P01", ["DO $$ BEGIN RAISE SQLSTATE '57P01'; END $$"]),
        ("58030", ["DO $$ BEGIN RAISE SQLSTATE '58030'; END $$"]),
        ("XX000", ["DO $$ BEGIN RAISE SQLSTATE 'XX000'; END $$"]),
        ("08006", ["DO $$ BEGIN RAISE SQLSTATE '08006'; END $$"]),
    ],
)
async def test_a_server_that_is_not_the_one_we_need_is_away(
    database: Database, stage: Stage, sqlstate: str, statements: list[str]
) -> None:
    """It costs no attempt: no command is to blame."""
    unique = stage.database_url.rpartition("_")[2]
    assert_away(await failing(database.side_engine, *(one.replace("{}", unique) for one in statements)), sqlstate)
    assert_away(await failing_by_hand(database, *(one.replace("{}", unique) for one in statements)), sqlstate)


async def test_a_deadlock_costs_one_of_the_two_an_attempt(database: Database) -> None:
    both_have_one = asyncio.Barrier(2)
    update = text("UPDATE account SET amount = amount WHERE id = :id")

    async def lock(first: int, second: int) -> None:
        async with database.side_engine.begin() as connection:
            # The server looks for a deadlock after a second: by then this statement time-out would have ended it.
            await connection.execute(text("SET LOCAL statement_timeout = 0"))
            await connection.execute(update, {"id": first})
            await both_have_one.wait()
            await connection.execute(update, {"id": second})

    ends = await asyncio.gather(caught(lock, 1, 2), caught(lock, 2, 1))
    (failure,) = [end for end in ends if isinstance(end, Failure)]
    assert_costs_an_attempt(failure.error, "40P01")


async def test_a_lock_that_somebody_else_holds_for_long_costs_an_attempt(database: Database) -> None:
    async with database.side_engine.begin() as holder:
        await holder.execute(text("LOCK TABLE account"))
        statements = "SET LOCAL statement_timeout = 0", "SET LOCAL lock_timeout = '50ms'", "SELECT * FROM account"
        assert_costs_an_attempt(await failing(database.side_engine, *statements), "55P03")


async def test_a_conflict_between_two_serializable_transactions_costs_an_attempt(database: Database) -> None:
    async def change(connection: AsyncConnection) -> None:
        await connection.execute(text("UPDATE account SET amount = 7 WHERE id = 1"))

    isolated = database.side_engine.execution_options(isolation_level="REPEATABLE READ")
    async with isolated.connect() as first:
        await first.execute(text("SELECT * FROM account"))
        async with database.side_engine.begin() as second:
            await change(second)
        assert_costs_an_attempt(await error_of(partial(change, first)), "40001")


async def test_every_connection_carries_the_servers_own_time_outs(database: Database) -> None:
    """A frozen worker's claim frees itself."""
    names = "statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "synchronous_commit"
    async with database.side_engine.connect() as connection:
        shown = [(await connection.execute(text(f"SHOW {name}"))).scalar_one() for name in names]
    assert shown == ["300ms", "2s", "10s", "on"]


async def test_a_backend_that_is_terminated_at_work_is_away(database: Database) -> None:
    await _assert_away_when_cut(database, "SELECT pg_terminate_backend(:pid)", _sleep)


async def test_a_backend_that_was_terminated_before_the_statement_is_away(database: Database) -> None:
    """The usual way to meet a restart: a connection from the pool is dead already."""

    async def terminated_first(connection: AsyncConnection) -> None:
        await connection.execute(text("SELECT 1"))
        await gone.wait()
        await connection.execute(text("SELECT 1"))

    gone = asyncio.Event()
    await _assert_away_when_cut(database, "SELECT pg_terminate_backend(:pid, 5000)", terminated_first, gone)


async def _sleep(connection: AsyncConnection) -> None:
    await connection.execute(text("SET LOCAL statement_timeout = 0"))
    await connection.execute(text("SELECT pg_sleep(5)"))


async def _assert_away_when_cut(database: Database, cut: str, work: Work, gone: asyncio.Event | None = None) -> None:
    pid: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def run() -> None:
        async with database.side_engine.connect() as connection:
            pid.set_result((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
            await work(connection)

    running = asyncio.create_task(error_of(run))
    async with database.side_engine.connect() as other:
        await other.execute(text("SET statement_timeout = 0"))
        await other.execute(text(cut), {"pid": await pid})
    if gone is not None:
        gone.set()
    assert_away(await running)


async def test_a_transaction_that_idled_too_long_is_away(database: Database) -> None:
    """A frozen worker wakes up: the server has thrown it out, which says nothing about its command."""
    async with engine_for(database.url, connect_args=database.connect_args) as engine:

        async def idle() -> None:
            async with engine.connect() as connection:
                await connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '20ms'"))
                pid = (await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one()
                async with database.side_engine.connect() as other:
                    question = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
                    async with asyncio.timeout(5):
                        while (await other.execute(question, {"pid": pid})).scalar_one():
                            await other.rollback()
                await connection.execute(text("SELECT 1"))

        assert_away(await error_of(idle))


async def test_a_server_that_does_not_answer_in_time_is_away(database: Database) -> None:
    """The client's own time-out: the server may be frozen."""
    impatient = database.connect_args | {"command_timeout": 0.2, "server_settings": {"statement_timeout": "0"}}
    async with engine_for(database.url, connect_args=impatient) as engine:
        assert_away(await failing(engine, "SELECT pg_sleep(5)"))


async def test_an_exhausted_pool_is_away(database: Database) -> None:
    tiny = engine_for(database.url, pool_size=1, max_overflow=0, pool_timeout=0.05)
    async with tiny as engine, engine.connect():
        assert_away(await failing(engine, "SELECT 1"))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("@", "x@", "28P01"),
        ("://", "://nobody-", "28"),
        ("/tests_", "/no_such_", "3D000"),
    ],
)
async def test_a_server_that_lets_nobody_in_is_away(database: Database, old: str, new: str, says: str) -> None:
    """At start these are settings to mend; later they are an outage: somebody is changing passwords."""
    async with engine_for(database.url.replace(old, new, 1)) as engine:
        error = await failing(engine, "SELECT 1")
    assert_away(error)
    assert says in str(getattr(getattr(error, "orig", error), "sqlstate", ""))


@pytest.mark.parametrize("where", ["127.0.0.1:1", "no-such-host.invalid:5432"])
async def test_a_refused_connection_is_away(where: str) -> None:
    async with engine_for(f"postgresql+asyncpg://u:p@{where}/d", connect_args={"timeout": 5}) as engine:
        assert_away(await failing(engine, "SELECT 1"))


async def test_our_own_bug_is_neither(database: Database) -> None:
    for bug in (KeyError("name"), ValueError("x"), RuntimeError("x"), TypeError("x")):
        assert translated(bug) is None
    assert translated(await failing(database.side_engine, "SELECT :missing")) is None


@pytest.mark.parametrize("wrong", ["seven", 2**40, object()])
async def test_a_value_that_the_driver_can_not_send_is_our_own_bug(database: Database, wrong: object) -> None:
    """It never reached the server; taken for an outage it would close the gate again and again, for ever."""

    async def run() -> None:
        async with database.side_sessions.begin() as session:
            await session.execute(insert(HERO).values(name="n", secret_name="s", age=wrong))

    meaning = translated(await error_of(run))
    assert not isinstance(meaning, DatabaseUnavailableError), meaning


async def test_an_error_never_tells_the_values_of_a_statement(database: Database) -> None:
    async def run() -> None:
        async with database.side_sessions.begin() as session:
            await session.execute(insert(HERO).values(name=None, secret_name="Zx9Qk7", age=1))

    error = await error_of(run)
    assert_costs_an_attempt(error, "23502")
    assert "Zx9Qk7" not in str(translated(error))


async def test_the_probe_is_content_with_a_server_that_takes_writes(database: Database) -> None:
    await database.probe()


async def test_the_probe_is_not_content_with_a_server_that_is_read_only(database: Database) -> None:
    """A standby answers every question and refuses every command."""
    name = database.url.rpartition("/")[2]
    async with database.side_engine.begin() as connection:
        await connection.execute(text(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'))
    try:
        with pytest.raises(DatabaseUnavailableError, match="read-only") as refused:
            await database.probe()
        assert_away(refused.value)
    finally:
        async with database.side_engine.begin() as connection:
            await connection.execute(text("SET LOCAL transaction_read_only = off"))
            await connection.execute(text(f'ALTER DATABASE "{name}" RESET default_transaction_read_only'))
