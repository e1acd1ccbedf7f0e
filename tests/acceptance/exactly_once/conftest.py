"""Command queues that are empty when a test ends, for tests whose workers come and go within it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.ledger import leftovers
from tests.harness.stage import Stage


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_over(stage: Stage) -> AsyncIterator[None]:
    """A test that fails half-way leaves no commands to the next one."""
    yield
    await leftovers(stage)
