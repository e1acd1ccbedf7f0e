"""A worker whose handlers fail at what is broken, for the tests of what a replay does."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from tests.harness.failing import BROKEN, failing_worker
from tests.harness.stage import Stage
from worker.app import Worker


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work, with handlers that fail at what is broken."""
    async with failing_worker(stage) as running:
        yield running


@pytest.fixture(autouse=True)
def mended() -> Iterator[None]:
    """Nothing stays broken for the next test."""
    yield
    BROKEN.clear()
