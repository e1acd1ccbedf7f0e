"""A sweeper that is driven by hand, on an empty inbox, for the tests of what it publishes and forgets."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.inbox_rows import driven_sweeper
from tests.harness.stage import Stage
from worker.sweeper import Sweeper


@pytest_asyncio.fixture(loop_scope="session")
async def sweeper(stage: Stage) -> AsyncIterator[Sweeper]:
    """Driven by hand, on an empty inbox."""
    await stage.rows("TRUNCATE inbox")
    async with driven_sweeper(stage) as driven:
        yield driven
