"""What a live PostgreSQL refuses, or ends in time, costs an attempt; our own bug is neither that nor an outage."""

import asyncio
from functools import partial

import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from tests.harness.statements import error_of, failing, failing_by_hand
from worker.errors import DatabaseUnavailableError, StatementFailedError
from worker.failsafe import Failure, caught
from worker.heroes import HERO
from worker.persistence.database import Database
from worker.persistence.sqlstate import translated


def assert_costs_an_attempt(error: BaseException, sqlstate: str) -> None:
    meaning = translated(error)
    assert isinstance(meaning, StatementFailedError), repr(error)
    assert meaning.sqlstate == sqlstate


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
