"""What came of statements on a real PostgreSQL: the very error that the driver raised."""

from collections.abc import Awaitable, Callable

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from worker.failsafe import Failure, caught
from worker.persistence.database import Database


async def error_of(work: Callable[[], Awaitable[object]]) -> BaseException:
    """What this work raised; it must have raised something."""
    failure = await caught(work)
    assert isinstance(failure, Failure), "nothing was raised"
    return failure.error


async def failing(engine: AsyncEngine, *statements: str) -> BaseException:
    """What came of these statements in one transaction."""

    async def run() -> None:
        async with engine.begin() as connection:
            for statement in statements:
                await connection.execute(text(statement))

    return await error_of(run)


async def failing_by_hand(database: Database, *statements: str) -> BaseException:
    """The same over the driver, in a command's transaction."""

    async def run() -> None:
        async with database.transactions.begin() as (driver, _):
            for statement in statements:
                await driver.execute(statement)

    return await error_of(run)
