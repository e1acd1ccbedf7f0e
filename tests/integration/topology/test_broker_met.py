"""Who connects knows the broker's version, or is told in time why it can't connect, and never with a password."""

import asyncio
import gc
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractConnection

from tests.harness.users import PASSWORD, user
from worker.errors import SettingsError, UnreachableError
from worker.messaging.connection import connected, server_version


@pytest_asyncio.fixture(loop_scope="session")
async def collected() -> AsyncIterator[None]:
    """A connection that never was is forgotten while the loop runs: the client closes it from its `__del__`."""
    yield
    gc.collect()


@pytest.mark.usefixtures("collected")
async def test_a_user_without_any_right_to_the_virtual_host_is_told_at_once(
    management: httpx.AsyncClient, url: str
) -> None:
    async with user(management, url, configure=None) as theirs, asyncio.timeout(10):
        with pytest.raises(SettingsError, match="does the virtual host exist, and may this user use it") as refused:
            async with connected(theirs, within_seconds=60):
                pytest.fail("was let in")
        assert PASSWORD not in str(refused.value)


@pytest.mark.usefixtures("collected")
@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("/topology_", "/no_such_", "does the virtual host exist, and may this user use it"),
        ("@", "x@", "refuses this user and password"),
        ("://", "://nobody-", "refuses this user and password"),
    ],
)
async def test_a_broker_that_refuses_is_told_at_once(url: str, old: str, new: str, sentence: str) -> None:
    """Waiting would not help, so nobody waits; and no password is shown."""
    password = urlsplit(url).password or ""
    async with asyncio.timeout(15):
        with pytest.raises(SettingsError, match=sentence) as refused:
            async with connected(url.replace(old, new, 1), within_seconds=60):
                pytest.fail("was let in")
    assert password not in str(refused.value)


@pytest.mark.usefixtures("collected")
async def test_a_broker_that_does_not_answer_is_given_up_in_time() -> None:
    async with asyncio.timeout(10):
        with pytest.raises(UnreachableError, match=r"did not answer within 0\.1 s: is it running") as refused:
            async with connected("amqp://u:Zx9Qk7@127.0.0.1:1/v", within_seconds=0.1):
                pytest.fail("was let in")
    assert PASSWORD not in str(refused.value)


async def test_the_brokers_version_is_known(connection: AbstractConnection, management: httpx.AsyncClient) -> None:
    version = server_version(connection)
    assert len(version) == 3
    overview = (await management.get("/overview")).json()
    assert ".".join(map(str, version)) == overview["rabbitmq_version"].split("~")[0].split("-")[0]
