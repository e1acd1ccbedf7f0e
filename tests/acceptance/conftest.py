"""What several acceptance tests stand on: a worker at work for a whole module, and who hears what comes out."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.harness.commands import create
from tests.harness.directed import Handlers
from tests.harness.recorder import Recorder
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from tests.harness.workers import WORKER_ID, tidy_worker
from worker.app import Worker


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At prefetch 1, so that `Wire.settled` proves what it says."""
    async with tidy_worker(stage, prefetch=1, worker_id=WORKER_ID) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def handlers(stage: Stage) -> AsyncIterator[Handlers]:
    """One worker for all tests of a module, with handlers that they direct."""
    directed = Handlers()
    async with tidy_worker(stage, directed.entity()):
        yield directed


@pytest_asyncio.fixture(loop_scope="session")
async def hero_id(wire: Wire, handlers: Handlers) -> int:
    """A hero of version 1; made by a command that succeeds, so that given-up ones never come twenty in a row."""
    return int((await wire.outcome(create(name="Ada", age=36)))["data"]["hero"]["id"])


@pytest_asyncio.fixture(loop_scope="session")
async def recorder(stage: Stage) -> Recorder:
    """Keeps what this test causes."""
    recorder = Recorder(stage)
    await recorder.begin()
    return recorder
