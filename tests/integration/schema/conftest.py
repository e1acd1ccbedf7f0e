"""A database with nothing in it and an engine for it, for the tests of its tables."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncEngine

from tests.harness.tables import engine_for
from worker.local import Services


@pytest.fixture
def fresh(services: Services) -> Iterator[str]:
    """A database with nothing in it."""
    with services.database("schema") as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def engine(fresh: str) -> AsyncIterator[AsyncEngine]:
    async with engine_for(fresh) as one:
        yield one
