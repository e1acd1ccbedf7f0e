"""What one worker process knows of suspects, and the permits that it has."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.harness.stage import Stage
from worker.persistence.database import Database
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects

CONCURRENCY = 4


@pytest_asyncio.fixture(loop_scope="session")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """As a worker opens it."""
    database = Database.of(stage.database_url, pool_size=CONCURRENCY, statement_timeout_seconds=5)
    yield database
    await database.close()


@pytest.fixture
def permits() -> Permits:
    """The permits of one process."""
    return Permits(CONCURRENCY)


@pytest_asyncio.fixture(loop_scope="session")
async def suspects(database: Database) -> AsyncIterator[Suspects]:
    """Those of one process; afterwards each end is written, so that nobody uses the database any more."""
    suspects = Suspects(database.side_sessions)
    yield suspects
    async with asyncio.timeout(10):
        await asyncio.gather(*suspects._ending.values())


async def starts(stage: Stage, command_id: str) -> int:
    """How many starts of this command are on record."""
    return len(await stage.rows("SELECT FROM suspect WHERE command_id = $1", command_id))
