"""The users of deploy/rabbitmq, one by one on a real broker: each can do its work, and nothing else."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import aio_pika
import aiormq
import asyncpg
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel

from contracts.client import HeroesClient
from contracts.heroes import HeroCreated
from tests.harness.commands import create
from tests.harness.shipped import APP, definitions, shipped_users
from tests.harness.stage import DEADLINE_SECONDS, Stage, eventually
from tests.harness.users import PASSWORD, management_of
from worker.app import Worker, running_worker
from worker.errors import ExitCode, TopologyError
from worker.local import Services
from worker.messaging import topology
from worker.messaging.connection import connected
from worker.messaging.examination import examined
from worker.operations import prepare

CONSUMER = f"consumer-{APP}"
DOCS = Path(__file__).parents[2] / "docs"
NAMED, OTHER = f"heroes.events.{APP}", "heroes.events.other"
COMMANDS, SLOT, UNSLOTTED = "heroes.commands", "heroes.commands.00", "heroes.commands.unslotted"
EVENTS, LOG, QUERIES, LETTERS = "heroes.events", "heroes.events.log", "heroes.queries", "heroes.dead_letters"


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
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


async def publish(channel: AbstractChannel, exchange: str, body: bytes = b"{}", routing_key: str = "00") -> None:
    target = await channel.get_exchange(exchange, ensure=False) if exchange else channel.default_exchange
    await target.publish(aio_pika.Message(body, delivery_mode=2), routing_key)


async def consume(channel: AbstractChannel, queue: str) -> None:
    async def forget(_: object) -> None: ...

    arguments: dict[str, Any] = {"x-stream-offset": "first"} if queue == LOG else {}
    await channel.set_qos(1)
    await (await channel.get_queue(queue, ensure=False)).consume(forget, arguments=arguments)


async def purge(channel: AbstractChannel, queue: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).purge()


async def delete_queue(channel: AbstractChannel, queue: str) -> None:
    await channel.queue_delete(queue)


async def delete_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.exchange_delete(exchange)


async def declare_queue(channel: AbstractChannel, queue: str) -> None:
    await channel.declare_queue(queue, durable=True, arguments={"x-queue-type": "quorum"})


async def declare_exchange(channel: AbstractChannel, exchange: str) -> None:
    await channel.declare_exchange(exchange, "fanout", durable=True)


async def bind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).bind(exchange, routing_key="#")


async def unbind(channel: AbstractChannel, queue: str, exchange: str) -> None:
    await (await channel.get_queue(queue, ensure=False)).unbind(exchange, routing_key="00")


Act = Callable[..., Awaitable[None]]
FORBIDDEN: dict[str, tuple[tuple[Act, tuple[str, ...]], ...]] = {
    "setup": (
        (publish, (COMMANDS,)),
        (publish, (EVENTS,)),
        (publish, ("",)),
        (consume, (LOG,)),
        (declare_queue, (NAMED,)),
        (declare_queue, ("heroes.commands_mine",)),
        (declare_exchange, ("mine",)),
        (delete_queue, ("mine",)),
    ),
    "worker": (
        (publish, (COMMANDS,)),
        (publish, (QUERIES,)),
        (consume, (LETTERS,)),
        (purge, (LETTERS,)),
        (declare_queue, ("mine",)),
        (declare_queue, ("heroes.commands.16",)),
        (declare_exchange, ("mine",)),
        (delete_queue, (SLOT,)),
        (delete_queue, (LETTERS,)),
        (delete_exchange, (EVENTS,)),
        (bind, (SLOT, COMMANDS)),
        (unbind, (SLOT, COMMANDS)),
        (consume, (NAMED,)),
    ),
    "publisher": (
        (publish, (EVENTS,)),
        (publish, (LETTERS,)),
        (publish, (UNSLOTTED,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (purge, (SLOT,)),
        (consume, (LOG,)),
        (consume, (LETTERS,)),
        (consume, (QUERIES,)),
        (declare_queue, ("mine",)),
        (declare_queue, (NAMED,)),
        (delete_queue, (SLOT,)),
        (delete_exchange, (COMMANDS,)),
        (unbind, (SLOT, COMMANDS)),
    ),
    CONSUMER: (
        (publish, (COMMANDS,)),
        (publish, (EVENTS,)),
        (publish, (QUERIES,)),
        (publish, (LETTERS,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (consume, (LETTERS,)),
        (consume, (OTHER,)),
        (purge, (OTHER,)),
        (purge, (SLOT,)),
        (declare_queue, (OTHER,)),
        (declare_queue, (f"{NAMED}2",)),
        (declare_queue, (LOG,)),
        (delete_queue, (LOG,)),
        (delete_queue, (OTHER,)),
        (bind, (NAMED, COMMANDS)),
        (bind, (LOG, EVENTS)),
    ),
    "operator": (
        (publish, (EVENTS,)),
        (publish, (QUERIES,)),
        (publish, (LETTERS,)),
        (publish, ("",)),
        (consume, (SLOT,)),
        (purge, (SLOT,)),
        (consume, (LOG,)),
        (declare_queue, ("mine",)),
        (delete_queue, (LETTERS,)),
        (delete_queue, (SLOT,)),
        (bind, (LETTERS, COMMANDS)),
    ),
}


def named(value: object) -> str:
    return getattr(value, "__name__", None) or " ".join(part or "(default)" for part in value)  # type: ignore[attr-defined]  # a tuple of names


CASES = [
    pytest.param(role, act, names, id=f"{role}: {act.__name__} {' '.join(name or '(default)' for name in names)}")
    for role, acts in FORBIDDEN.items()
    for act, names in acts
]
LAST = (delete_queue, delete_exchange)


@pytest.mark.parametrize(("role", "act", "names"), CASES)
async def test_nobody_may_do_what_is_not_their_work(
    users: Mapping[str, str], role: str, act: Act, names: tuple[str, ...]
) -> None:
    async with await aio_pika.connect(users[role]) as connection:
        channel = await connection.channel()
        with pytest.raises(aiormq.exceptions.ChannelAccessRefused):
            await act(channel, *names)


async def test_what_is_forbidden_to_one_works_for_who_has_every_right(services: Services) -> None:
    """The positive control: an act that always fails would look like one that is refused."""
    acts = {one for acts in FORBIDDEN.values() for one in acts}
    with services.virtual_host("control") as url:
        async with await aio_pika.connect(url) as connection:
            await topology.declare(connection, 7)
            for queue in (NAMED, OTHER):
                await declare_queue(await connection.channel(), queue)
            for act, names in sorted(acts, key=lambda one: (one[0] in LAST, one[0].__name__, one[1])):
                with suppress(aiormq.exceptions.ChannelPreconditionFailed):  # the log stands there with its own age
                    await act(await connection.channel(), *names)


async def test_an_imported_user_can_not_log_in_before_it_has_a_password(
    management: httpx.AsyncClient, users: Mapping[str, str]
) -> None:
    assert {user["password_hash"] for user in definitions()["users"]} == {""}
    name = urlsplit(users["worker"]).username
    (await management.put(f"/users/{name}-new", json={"password_hash": "", "tags": ""})).raise_for_status()
    try:
        for password in ("", "x", "guest"):
            refused = await management.get("/whoami", auth=httpx.BasicAuth(f"{name}-new", password))
            assert refused.status_code == httpx.codes.UNAUTHORIZED
    finally:
        await management.delete(f"/users/{name}-new")


async def test_a_worker_without_its_rights_says_so_at_its_start(corner: Stage, users: Mapping[str, str]) -> None:
    """A publisher's user in the place of the worker's: one sentence, its own exit code and no password."""
    settings = corner.settings(rabbitmq_url=users["publisher"])
    async with connected(users["worker"], within_seconds=10) as connection:
        assert await topology.missing(connection, 7) == []  # the user whose rights these are sees all of it
    with pytest.raises(TopologyError) as refused:
        async with running_worker(settings):
            pass
    assert "permission" in str(refused.value)
    assert PASSWORD not in str(refused.value)
    assert refused.value.exit_code is ExitCode.UNPREPARED


async def test_the_policy_drops_the_oldest_where_a_consumer_is_slow_and_refuses_the_worker_nothing(
    management: httpx.AsyncClient, services: Services
) -> None:
    """The queue's own overflow says refuse: what the worker publishes would be refused for everybody."""
    (policy,) = definitions()["policies"]
    assert policy["definition"]["overflow"] == "drop-head"
    with services.virtual_host("policy") as url:
        host = urlsplit(url).path[1:]
        small = {**policy, "vhost": host, "definition": {**policy["definition"], "max-length-bytes": 1000}}
        (await management.put(f"/policies/{host}/{policy['name']}", json=small)).raise_for_status()
        async with await aio_pika.connect(url) as connection:
            await topology.declare(connection, 7)
            channel = await connection.channel()
            arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-overflow": "reject-publish"}
            queue = await channel.declare_queue(NAMED, durable=True, arguments=arguments)
            await queue.bind(EVENTS, "#")
            for number in range(50):
                await publish(channel, EVENTS, f"{number:0100}".encode())

            async def shortened() -> bool:
                declared = await channel.declare_queue(NAMED, passive=True)
                return 0 < (declared.declaration_result.message_count or 0) <= 10

            await eventually(shortened, "the oldest are dropped")
            first = await queue.get()
            assert int(first.body) >= 40
            log = await management.get(f"/queues/{host}/{LOG}")
            assert log.json().get("policy") is None, "history must not be cut"


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
