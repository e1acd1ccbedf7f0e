"""An inbox on a real PostgreSQL, with nothing in it when a test begins."""

from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text

from tests.harness.stage import Stage
from worker.persistence.database import Database


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """As a worker opens it."""
    one = Database.of(stage.database_url, pool_size=8, statement_timeout_seconds=5)
    yield one
    await one.close()


@pytest_asyncio.fixture(loop_scope="session", autouse=True)
async def empty(database: Database) -> None:
    """The inbox, before each test."""
    async with database.side_sessions.begin() as session:
        await session.execute(text("TRUNCATE inbox"))
