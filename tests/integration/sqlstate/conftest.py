"""The worker's own engine and a table to fail on, for the tests of what a real PostgreSQL says."""

from collections.abc import AsyncIterator

import pytest_asyncio
from sqlalchemy import text

from tests.harness.stage import Stage
from worker.persistence.database import Database

STATEMENT_TIMEOUT_SECONDS = 0.3


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """The worker's own engine, with a statement time-out that a test can wait for."""
    one = Database.of(stage.database_url, pool_size=4, statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS)
    async with one.side_engine.begin() as connection:
        await connection.execute(text("CREATE TABLE account (id integer PRIMARY KEY, amount smallint)"))
        await connection.execute(text("INSERT INTO account VALUES (1, 1), (2, 2)"))
    yield one
    await one.close()
