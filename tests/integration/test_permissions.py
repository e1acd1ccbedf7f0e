"""The users of deploy/rabbitmq, one by one on a real broker: each can do its work, with no more rights than its own."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from pathlib import Path
from urllib.parse import quote, urlsplit

import aio_pika
import asyncpg
import httpx
import pytest
import pytest_asyncio

from contracts.client import HeroesClient
from contracts.heroes import HeroCreated
from tests.harness.commands import create
from tests.harness.shipped import APP
from tests.harness.stage import DEADLINE_SECONDS, Stage, eventually
from tests.harness.user_acts import (
    COMMANDS,
    LETTERS,
    NAMED,
    publish,
)
from tests.harness.users import PASSWORD
from worker.app import Worker, running_worker
from worker.local import Services
from worker.messaging import topology
from worker.messaging.connection import connected
from worker.messaging.examination import examined

CONSUMER = f"consumer-{APP}"
DOCS = Path(__file__).parents[2] / "docs"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def role(corner: Stage, users: Mapping[str, str]) -> AsyncIterator[str]:
    """The URL of the database for a worker that owns nothing there, made as docs/security.md says."""
    address = urlsplit(corner.database_url)
    name = f"{address.path[1:]}_worker"
    (script,) = re.findall(r"```sql\n(.*?)```", (DOCS / "security.md").read_text(), re.DOTALL)
    await corner.run(re.sub(r"\bworker\b", name, script))
    await corner.run(f"ALTER ROLE {name} PASSWORD '{PASSWORD}'")
    try:
        yield address._replace(netloc=f"{name}:{PASSWORD}@{address.hostname}:{address.port}").geturl()
    finally:
        await corner.run(f"DROP OWNED BY {name}; DROP ROLE {name}")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worker(corner: Stage, users: Mapping[str, str], role: str) -> AsyncIterator[Worker]:
    """At work with no more rights than its own, to either service."""
    settings = corner.settings(rabbitmq_url=users["worker"], database_url=role, shutdown_timeout_seconds=5)
    async with running_worker(settings) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def publisher(users: Mapping[str, str], worker: Worker) -> AsyncIterator[HeroesClient]:
    async with HeroesClient(users["publisher"], timeout_seconds=20) as client:
        yield client


async def test_setup_declares_all_of_it_and_sees_what_is_wrong_with_it(users: Mapping[str, str]) -> None:
    async with connected(users["setup"], within_seconds=10) as connection:
        await topology.declare(connection, 7)
        seen = [one async for one in examined(connection, 7)]
        assert not [one.name for one in seen if one.wrong or not all(one.may.values())]
        assert await topology.missing(connection, 7) == []


async def test_a_publisher_gets_the_outcome_of_its_command_and_the_answer_to_its_query(
    publisher: HeroesClient,
) -> None:
    created = await publisher.create(name="Ada", secret_name="Countess")
    assert (await publisher.get(created.data.hero.id)).name == "Ada"


async def test_a_worker_sets_aside_what_it_cannot_read(users: Mapping[str, str], worker: Worker, corner: Stage) -> None:
    async with await aio_pika.connect(users["publisher"]) as connection:
        channel = await connection.channel()
        await publish(channel, COMMANDS, b"not a command")
    assert (await a_letter(users, b"not a command")).headers["x-dead-letter-reason"] == "invalid_command"


async def test_a_worker_comes_back_when_the_broker_has_closed_its_connections(
    users: Mapping[str, str], publisher: HeroesClient, worker: Worker, management: httpx.AsyncClient
) -> None:
    await close_connections_of(management, users["worker"], 2)  # one consumes, the other publishes

    assert (await publisher.create(name="Again", secret_name="And again")).data.hero.name == "Again"


async def test_a_consumer_declares_its_queue_and_reads_on_from_history(
    users: Mapping[str, str], publisher: HeroesClient
) -> None:
    before = await publisher.create(name="Before", secret_name="-")
    heard = list[str]()
    async with aclosing(HeroesClient(users[CONSUMER]).events(queue=APP, from_="start")) as events:
        async for event in events:
            if isinstance(event, HeroCreated) and event.id == before.id:
                heard.append("history")
                after = await publisher.create(name="After", secret_name="-")
            elif heard and event.id == after.id:
                break
    async with await aio_pika.connect(users[CONSUMER]) as connection:  # what it sets aside itself is its own, too
        channel = await connection.channel()
        await (await channel.get_queue(f"{NAMED}.dead")).get(fail=False)


async def test_an_operator_takes_a_dead_letter_and_publishes_its_command_again(
    users: Mapping[str, str], worker: Worker, corner: Stage
) -> None:
    command = create(name="Replayed")
    async with await aio_pika.connect(users["operator"]) as connection:
        channel = await connection.channel()
        await publish(channel, COMMANDS, command.to_json(), command.routing_key)
    await eventually(lambda: corner.is_published(command.id), "the command is handled")


@pytest.mark.parametrize("act", ["DROP TABLE inbox", "ALTER TABLE hero ADD x int", "CREATE TABLE mine (x int)"])
async def test_a_worker_changes_rows_and_no_tables(role: str, act: str) -> None:
    connection = await asyncpg.connect(role.replace("+asyncpg", ""))
    try:
        assert await connection.fetchval("SELECT count(*) FROM inbox") >= 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(act)
    finally:
        await connection.close()


async def test_an_operator_sees_the_queues_in_the_management_and_nobody_else_gets_in(
    users: Mapping[str, str], services: Services
) -> None:
    for role, url in users.items():
        address, base = urlsplit(url), urlsplit(services.management_url)
        bare = base._replace(netloc=f"{base.hostname}:{base.port}").geturl()
        auth = httpx.BasicAuth(address.username or "", PASSWORD)
        async with httpx.AsyncClient(base_url=f"{bare}/api", auth=auth, trust_env=False, timeout=20) as client:
            seen = await client.get(f"/queues{address.path}")
            changed = await client.put(f"/users/{address.path[1:]}-mine", json={"password": "x", "tags": ""})
        assert seen.status_code == (httpx.codes.OK if role == "operator" else httpx.codes.UNAUTHORIZED), role
        assert changed.status_code == httpx.codes.UNAUTHORIZED, role


async def a_letter(users: Mapping[str, str], body: bytes) -> aio_pika.abc.AbstractIncomingMessage:
    """The dead letter with this body, taken and acknowledged by the operator."""
    async with await aio_pika.connect(users["operator"]) as connection:
        queue = await (await connection.channel()).get_queue(LETTERS, ensure=False)
        async with asyncio.timeout(DEADLINE_SECONDS), queue.iterator() as letters:
            async for letter in letters:
                await letter.ack()
                if letter.body == body:
                    return letter
    raise AssertionError("the queue ended")


async def close_connections_of(management: httpx.AsyncClient, url: str, count: int) -> None:
    """The broker has closed this user's connections, of which there must be so many."""
    address = urlsplit(url)
    found = list[str]()

    async def listed() -> bool:
        connections = (await management.get(f"/vhosts{address.path}/connections")).json()
        found[:] = [one["name"] for one in connections if one.get("user") == address.username]
        return len(found) == count

    await eventually(listed, f"{count} connections of {address.username}")
    for name in found:
        (await management.delete(f"/connections/{quote(name)}")).raise_for_status()
