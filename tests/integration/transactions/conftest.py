"""A database with one connection for commands, and without heroes."""

from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text

from tests.harness.stage import Stage
from worker.persistence.database import Database


@pytest_asyncio.fixture(loop_scope="session")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """One connection, so that each transaction gets the one of the transaction before."""
    one = Database.of(stage.database_url, pool_size=1, statement_timeout_seconds=1)
    async with one.side_sessions.begin() as session:
        await session.execute(text("TRUNCATE hero"))
    yield one
    await one.close()
