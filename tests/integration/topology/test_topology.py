"""Exchanges, queues and bindings on a real broker, read back through its management and not by our own eyes."""

import asyncio
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage

from contracts.channels import command_queues
from tests.harness.declared import COMMAND_ARGUMENTS, DAYS, faults
from worker.messaging import topology
from worker.messaging.connection import connected


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
