"""A worker at work for a whole module, a client of it, what command lines need, and who looks after the broker."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from contracts.client import HeroesClient
from tests.harness.letters import Pigeonhole
from tests.harness.press import Press
from tests.harness.shipped import shipped_users
from tests.harness.stage import Stage
from tests.harness.user_acts import OTHER, declare_queue
from tests.harness.users import management_of
from worker.app import Worker, running_worker
from worker.local import Services
from worker.operations import prepare


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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The broker's management API."""
    async with management_of(services) as client:
        yield client


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def users(management: httpx.AsyncClient, corner: Stage) -> AsyncIterator[Mapping[str, str]]:
    """Each user's URL, in a virtual host and a database that its setup user has prepared."""
    async with shipped_users(management, corner.rabbitmq_url) as urls:
        settings = corner.settings(rabbitmq_url=urls["setup"])
        await asyncio.gather(prepare.prepare_broker(settings), prepare.prepare_database(settings))
        async with await aio_pika.connect(corner.rabbitmq_url) as connection:
            await declare_queue(await connection.channel(), OTHER)  # of another application
        yield urls


@pytest_asyncio.fixture(loop_scope="session")
async def channel(stage: Stage) -> AsyncIterator[AbstractChannel]:
    """A channel of somebody with every right."""
    async with await aio_pika.connect(stage.rabbitmq_url) as connection:
        yield await connection.channel()


@pytest.fixture
def seeing(stage: Stage, services: Services) -> Mapping[str, str]:
    """The environment of a command line, with the management API."""
    return stage.environment(HEROES_RABBITMQ_MANAGEMENT_URL=services.management_url)
