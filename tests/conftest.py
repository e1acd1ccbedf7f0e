"""Brings RabbitMQ and PostgreSQL once for the whole run, and a corner of them of its own for each module.

Where several processes share the work (`-n 3`), the one that hands it out brings the services for all of them.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack

import pytest
import pytest_asyncio

from tests.harness.stage import Stage
from tests.harness.wire import Wire
from worker.local import LocalServicesError, Services, local_services
from worker.local.__main__ import variables
from worker.operations import prepare

_FOR_ALL = ExitStack()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """The processes that xdist is about to start find the services in their environment."""
    if session.config.getoption("numprocesses", None):
        try:
            found = _FOR_ALL.enter_context(local_services(os.environ))
        except LocalServicesError as error:
            raise pytest.UsageError(str(error)) from None
        os.environ |= {**variables(found), "HEROES_LOCAL_SERVICES": "env"}


def pytest_configure() -> None:
    """Whoever runs in the background may have been told to ignore Ctrl-C, and the programs under test would, too."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_unconfigure() -> None:
    """Nothing is left running."""
    _FOR_ALL.close()


@pytest.fixture(scope="session")
def services() -> Iterator[Services]:
    """A RabbitMQ and a PostgreSQL, however this machine gets them; a test never passes for want of them."""
    with local_services(os.environ) as found:
        yield found


@pytest.fixture(scope="module")
def corner(services: Services) -> Iterator[Stage]:
    """A virtual host and a database that nobody else uses, still empty."""
    with services.virtual_host("tests") as rabbitmq_url, services.database("tests") as database_url:
        yield Stage(rabbitmq_url, database_url)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stage(corner: Stage) -> Stage:
    """A corner with the topology and the tables in it."""
    settings = corner.settings()
    await asyncio.gather(prepare.prepare_database(settings), prepare.prepare_broker(settings))
    return corner


@pytest_asyncio.fixture(loop_scope="session")
async def wire(stage: Stage) -> AsyncIterator[Wire]:
    """A publisher and a consumer of everything that comes out, beside the worker under test."""
    async with Wire.connected(stage) as connected:
        yield connected
