"""Exchanges, queues and bindings on a real broker, read back through its management and not by our own eyes."""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
import pytest_asyncio
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from contracts.channels import command_queues
from tests.harness.users import PASSWORD, management_of, user
from worker.errors import ExitCode, SettingsError, TopologyError, UnreachableError
from worker.local import Services
from worker.messaging import topology
from worker.messaging.connection import connected, server_version
from worker.messaging.examination import State, examined

DAYS = 7
COMMAND_ARGUMENTS: dict[str, Any] = {
    "x-queue-type": "quorum",
    "x-single-active-consumer": True,
    "x-delivery-limit": 100,
    "x-dead-letter-exchange": "heroes.dead_letters",
    "x-dead-letter-strategy": "at-least-once",
    "x-overflow": "reject-publish",
    "x-consumer-disconnected-timeout": 5000,
}


@pytest.fixture
def url(services: Services) -> Iterator[str]:
    """A virtual host with nothing in it."""
    with services.virtual_host("topology") as fresh:
        yield fresh


@pytest_asyncio.fixture(loop_scope="session")
async def connection(url: str) -> AsyncIterator[AbstractConnection]:
    async with await aio_pika.connect(url) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="session")
async def management(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    async with management_of(services) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def collected() -> AsyncIterator[None]:
    """A connection that never was is forgotten while the loop runs: the client closes it from its `__del__`."""
    yield
    gc.collect()


async def listed(management: httpx.AsyncClient, what: str, url: str) -> list[dict[str, Any]]:
    answer = await management.get(f"/{what}/{urlsplit(url).path[1:]}")
    answer.raise_for_status()
    found: list[dict[str, Any]] = answer.json()
    return found


async def queues_of(management: httpx.AsyncClient, url: str) -> dict[str, dict[str, Any]]:
    return {queue["name"]: queue for queue in await listed(management, "queues", url)}


async def taken(
    channel: AbstractChannel, name: str, count: int = 1, *, no_ack: bool = True
) -> list[AbstractIncomingMessage]:
    """The first messages of a queue; one with a single active consumer can't be asked for them."""
    queue, found = await channel.get_queue(name), list[AbstractIncomingMessage]()
    async with queue.iterator(no_ack=no_ack, timeout=10) as arriving:
        async for message in arriving:
            found.append(message)
            if len(found) == count:
                return found
    pytest.fail(f"{name} ended early")


async def faults(connection: AbstractConnection) -> list[str]:
    """What is missing or has other arguments."""
    seen = [one async for one in examined(connection, DAYS)]
    missing = [f"{one.name} is missing" for one in seen if one.state is State.MISSING]
    return [*missing, *(str(one.wrong) for one in seen if one.wrong)]


async def test_every_queue_has_the_arguments_that_keep_commands_from_being_lost(
    connection: AbstractConnection, management: httpx.AsyncClient, url: str
) -> None:
    await topology.declare(connection, DAYS)
    queues = await queues_of(management, url)
    assert all(queue["durable"] and not queue["auto_delete"] for queue in queues.values())
    arguments = {name: queue["arguments"] for name, queue in queues.items()}
    for name in command_queues():
        assert arguments.pop(name) == COMMAND_ARGUMENTS, name
    assert arguments == {
        "heroes.dead_letters": {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000},
        "heroes.queries": {"x-queue-type": "classic", "x-message-ttl": 30_000},
        "heroes.events.log": {"x-queue-type": "stream", "x-max-age": "7D"},
    }


async def test_every_exchange_is_of_its_kind(
    connection: AbstractConnection, management: httpx.AsyncClient, url: str
) -> None:
    await topology.declare(connection, DAYS)
    ours = [one for one in await listed(management, "exchanges", url) if one["name"].startswith("heroes.")]
    assert all(exchange["durable"] and not exchange["auto_delete"] for exchange in ours)
    assert {exchange["name"]: (exchange["type"], exchange["arguments"]) for exchange in ours} == {
        "heroes.commands": ("direct", {"alternate-exchange": "heroes.commands.unslotted"}),
        "heroes.commands.unslotted": ("fanout", {}),
        "heroes.events": ("topic", {}),
        "heroes.queries": ("direct", {}),
        "heroes.dead_letters": ("fanout", {}),
    }


async def test_every_queue_is_bound_where_its_messages_come_from(
    connection: AbstractConnection, management: httpx.AsyncClient, url: str
) -> None:
    await topology.declare(connection, DAYS)
    bindings = {
        (one["source"], one["routing_key"], one["destination"])
        for one in await listed(management, "bindings", url)
        if one["source"]
    }
    slots = {("heroes.commands", f"{slot:02d}", f"heroes.commands.{slot:02d}") for slot in range(16)}
    assert bindings == slots | {
        ("heroes.commands.unslotted", "", "heroes.commands.unslotted"),
        ("heroes.dead_letters", "", "heroes.dead_letters"),
        ("heroes.events", "#", "heroes.events.log"),
        ("heroes.queries", "hero.get", "heroes.queries"),
        ("heroes.queries", "hero.list", "heroes.queries"),
    }


async def test_declaring_twice_changes_nothing(
    connection: AbstractConnection, management: httpx.AsyncClient, url: str
) -> None:
    await topology.declare(connection, DAYS)
    before = await listed(management, "bindings", url), set(await queues_of(management, url))
    channel = await connection.channel()
    await channel.default_exchange.publish(aio_pika.Message(b"kept"), "heroes.commands.00")
    await topology.declare(connection, DAYS)
    assert (await listed(management, "bindings", url), set(await queues_of(management, url))) == before
    assert [message.body for message in await taken(channel, "heroes.commands.00")] == [b"kept"]


@pytest.mark.parametrize("declarers", [2, 10])
async def test_many_that_declare_at_once_do_not_disturb_each_other(url: str, declarers: int) -> None:
    async def declare() -> None:
        async with connected(url, within_seconds=10) as own:
            await topology.declare(own, DAYS)

    await asyncio.gather(*(declare() for _ in range(declarers)))
    async with connected(url, within_seconds=10) as own:
        assert await topology.missing(own, DAYS) == []
        assert await faults(own) == []


async def test_what_is_missing_is_named(connection: AbstractConnection) -> None:
    nothing = await topology.missing(connection, DAYS)
    assert {"exchange heroes.commands", "queue heroes.commands.00", "queue heroes.events.log"} <= set(nothing)
    await topology.declare(connection, DAYS)
    assert await topology.missing(connection, DAYS) == []
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.07")
    await channel.exchange_delete("heroes.queries")
    assert await topology.missing(connection, DAYS) == ["exchange heroes.queries", "queue heroes.commands.07"]


async def test_every_fault_is_told_also_of_a_queue_whose_exchange_is_gone(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.07")
    await channel.exchange_delete("heroes.queries")
    found = await faults(connection)
    assert "queue heroes.commands.07 is missing" in found
    assert "exchange heroes.queries is missing" in found


async def test_a_queue_with_other_arguments_is_named_with_what_to_do(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    channel = await connection.channel()
    await channel.queue_delete("heroes.commands.03")
    wrong = {**COMMAND_ARGUMENTS, "x-delivery-limit": 5}
    await channel.declare_queue("heroes.commands.03", durable=True, arguments=wrong)
    with pytest.raises(TopologyError, match=r"queue heroes\.commands\.03 is there, but not as it should be") as refused:
        await topology.declare(connection, DAYS)
    assert "delete it once it is empty, then run heroes setup again" in str(refused.value)
    assert refused.value.exit_code is ExitCode.UNPREPARED
    (fault,) = await faults(connection)
    assert fault == str(refused.value)


async def test_an_exchange_of_another_kind_is_named(connection: AbstractConnection) -> None:
    channel = await connection.channel()
    await channel.declare_exchange("heroes.commands", "fanout", durable=True)
    with pytest.raises(TopologyError, match=r"exchange heroes\.commands is there, but not as it should be"):
        await topology.declare(connection, DAYS)


async def test_an_event_log_of_another_age_says_which_setting_mends_it(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    with pytest.raises(TopologyError, match=r"queue heroes\.events\.log is there") as refused:
        await topology.declare(connection, 8)
    assert "HEROES_EVENT_LOG_RETENTION_DAYS" in str(refused.value)
    assert "delete it once it is empty" not in str(refused.value)
    assert await topology.missing(connection, 8) == []


async def test_without_an_event_log_none_is_declared_and_none_is_missed(
    connection: AbstractConnection, management: httpx.AsyncClient, url: str
) -> None:
    await topology.declare(connection, 0)
    assert "heroes.events.log" not in await queues_of(management, url)
    assert await topology.missing(connection, 0) == []
    assert await topology.missing(connection, DAYS) == ["queue heroes.events.log"]


async def test_a_message_without_a_slot_and_one_for_a_slot_find_their_queues(connection: AbstractConnection) -> None:
    await topology.declare(connection, DAYS)
    channel = await connection.channel(on_return_raises=True)
    commands = await channel.get_exchange("heroes.commands", ensure=False)
    for key in ("07", "no slot", "7", ""):
        await commands.publish(aio_pika.Message(key.encode()), key)
    slotted, unslotted = (
        await taken(channel, "heroes.commands.07"),
        await taken(channel, "heroes.commands.unslotted", 3),
    )
    assert [message.body for message in slotted] == [b"07"]
    assert [message.body for message in unslotted] == [b"no slot", b"7", b""]


async def test_a_rejected_command_goes_to_the_dead_letters_with_the_brokers_reason(
    connection: AbstractConnection,
) -> None:
    """The last net: whatever the broker itself sets aside is kept, too."""
    await topology.declare(connection, DAYS)
    channel = await connection.channel()
    await channel.default_exchange.publish(aio_pika.Message(b"poison"), "heroes.commands.05")
    (message,) = await taken(channel, "heroes.commands.05", no_ack=False)
    await message.reject(requeue=False)
    (letter,) = await taken(channel, "heroes.dead_letters")
    assert letter.body == b"poison"
    assert "x-death" in letter.headers


async def test_a_user_who_may_not_declare_is_told_so(management: httpx.AsyncClient, url: str) -> None:
    async with user(management, url, configure="^$") as theirs, connected(theirs, within_seconds=5) as connection:
        with pytest.raises(TopologyError, match="this user may not declare it; run this as the user who may"):
            await topology.declare(connection, DAYS)


async def test_a_user_who_may_only_work_sees_what_is_missing(
    management: httpx.AsyncClient, url: str, connection: AbstractConnection
) -> None:
    """The worker runs without the right to declare."""
    await topology.declare(connection, DAYS)
    async with user(management, url, configure="^$") as theirs, connected(theirs, within_seconds=5) as own:
        assert await topology.missing(own, DAYS) == []
        await (await connection.channel()).queue_delete("heroes.commands.02")
        assert await topology.missing(own, DAYS) == ["queue heroes.commands.02"]


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
