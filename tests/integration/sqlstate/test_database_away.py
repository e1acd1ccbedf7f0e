"""A PostgreSQL that is cut off, frozen, full, read-only or not the one we need is away, which costs no attempt."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from tests.harness.stage import Stage
from tests.harness.statements import error_of, failing, failing_by_hand
from worker.errors import DatabaseUnavailableError
from worker.persistence.database import Database
from worker.persistence.sqlstate import translated

Work = Callable[[AsyncConnection], Awaitable[object]]


@asynccontextmanager
async def engine_for(url: str, **options: Any) -> AsyncIterator[AsyncEngine]:
    engine = create_async_engine(url, **options)
    try:
        yield engine
    finally:
        await engine.dispose()


def assert_away(error: BaseException, says: str = "") -> None:
    meaning = translated(error)
    assert isinstance(meaning, DatabaseUnavailableError), repr(error)
    assert says in str(meaning)


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
