"""A worker at work for a whole module, and a client of it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from contracts.client import HeroesClient
from tests.harness.press import Press
from tests.harness.stage import Stage
from worker.app import Worker, running_worker


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
