"""A virtual host with nothing in it for each test, and who looks at it."""

from collections.abc import AsyncIterator, Iterator

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractConnection

from tests.harness.users import management_of
from worker.local import Services


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    """A virtual host with nothing in it."""
    with services.virtual_host("topology") as fresh:
        yield fresh


@pytest_asyncio.fixture(loop_scope="session")
async def connection(url: str) -> AsyncIterator[AbstractConnection]:
    """To that virtual host."""
    async with await aio_pika.connect(url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    """The broker's management API."""
    async with management_of(services) as client:
        yield client
