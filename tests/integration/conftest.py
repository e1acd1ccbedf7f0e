"""A worker at work for a whole module, a client of it, and what command lines need."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from contracts.client import HeroesClient
from tests.harness.letters import Pigeonhole
from tests.harness.press import Press
from tests.harness.stage import Stage
from worker.app import Worker, running_worker
from worker.local import Services


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work."""
    async with running_worker(stage.settings(shutdown_timeout_seconds=5)) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def client(stage: Stage, worker: Worker) -> AsyncIterator[HeroesClient]:
    """A client where a worker is at work."""
    async with HeroesClient(stage.rabbitmq_url, timeout_seconds=20) as connected:
        yield connected


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def press() -> AsyncIterator[Press]:
    """Runs command lines."""
    async with Press.ready() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="session")
async def hole(stage: Stage) -> AsyncIterator[Pigeonhole]:
    """The dead-letter queue, emptied."""
    async with Pigeonhole.emptied(stage) as one:
        yield one


@pytest.fixture(scope="module")
def apart(services: Services) -> Iterator[Stage]:
    """Another corner, where no worker is."""
    with services.virtual_host("apart") as rabbitmq_url, services.database("apart") as database_url:
        yield Stage(rabbitmq_url, database_url)
