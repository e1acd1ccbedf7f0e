"""What is done in the transaction of a command, by either door, and on which connection."""

from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.stage import Stage
from worker.failsafe import Failure, caught
from worker.persistence.database import Database
from worker.persistence.transactions import Driver

Work = Callable[[Driver, AsyncSession], Awaitable[None]]
ADA: dict[str, Any] = {"name": "Ada", "secret_name": "s", "age": 1}
BY_HAND = "INSERT INTO hero (name, secret_name) VALUES ('Eve', 's')"


async def names(stage: Stage) -> list[str]:
    """Of all heroes there are."""
    return sorted(row["name"] for row in await stage.rows("SELECT name FROM hero"))


async def backend(database: Database) -> int:
    """The server's process for the connection that the next command gets."""
    async with database.transactions.begin() as (driver, _):
        return int(await driver.fetchval("SELECT pg_backend_pid()"))


async def cut(database: Database, pid: int) -> None:
    """The server has ended that connection."""
    terminate = text("SELECT pg_terminate_backend(:pid, 5000)").bindparams(pid=pid)
    async with database.side_sessions() as session:
        assert await session.scalar(terminate)


async def error_of(database: Database, work: Work) -> BaseException:
    """What a transaction raised that does this."""

    async def run() -> None:
        async with database.transactions.begin() as (driver, session):
            await work(driver, session)

    failure = await caught(run)
    assert isinstance(failure, Failure), "nothing was raised"
    return failure.error


async def by(door: str, statement: str, driver: Driver, session: AsyncSession) -> None:
    """The statement is run by that door."""
    if door == "driver":
        await driver.execute(statement)
    else:
        await session.execute(text(statement))
