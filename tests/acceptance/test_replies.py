"""Who asks for a reply gets the command's first event; an impossible address harms nobody."""

import asyncio
import json

import pytest
from aio_pika.abc import AbstractIncomingMessage

from tests.harness.commands import create, raw_create
from tests.harness.stage import Stage, eventually
from tests.harness.traces_left import new_hero, some_command
from tests.harness.wire import Wire, document

pytestmark = pytest.mark.usefixtures("worker")


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("create", None),
        ("update", "heroes.replies.here"),
        ("delete", "heroes.replies.a.b-c_d.9"),
        ("rejected", None),
        ("expired", "heroes.replies.here"),
    ],
)
async def test_who_asks_for_a_reply_gets_the_first_event(wire: Wire, kind: str, name: str | None) -> None:
    command = some_command(kind, await new_hero(wire))
    async with wire.replies(name) as replies:
        await wire.send(command, reply_to=replies.name, correlation_id="my question 1")
        reply = await replies.next()
        (event,) = await wire.event_messages_of(command.id)
        assert reply.body == event.body
        assert reply.correlation_id == "my question 1"
        assert (reply.type, reply.message_id) == (event.type, event.message_id)
        assert (reply.content_type, reply.app_id) == ("application/cloudevents+json", "heroes-worker")
        assert (reply.exchange, reply.routing_key) == ("", replies.name)
        assert await replies.is_empty()


async def test_a_duplicate_that_asks_for_a_reply_gets_it_again(stage: Stage, wire: Wire) -> None:
    command = create()
    async with wire.replies() as replies:
        await wire.send(command, reply_to=replies.name, correlation_id="first")
        first = await replies.next()
        await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
        await wire.send(command, reply_to=replies.name, correlation_id="second")
        second = await replies.next()
    await wire.settled(command.routing_key)
    assert (first.correlation_id, second.correlation_id) == ("first", "second")
    assert first.body == second.body
    assert len(await wire.events_of(command.id)) == 1


async def test_a_direct_reply_arrives(wire: Wire) -> None:
    """RabbitMQ's own replies without a queue: it writes the address into `reply_to`."""
    heard: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
    direct = await wire.channel.get_queue("amq.rabbitmq.reply-to", ensure=False)
    tag = await direct.consume(heard.put, no_ack=True)
    command = create()
    await wire.send(command, reply_to="amq.rabbitmq.reply-to", correlation_id="direct")
    (event,) = await wire.event_messages_of(command.id)
    async with asyncio.timeout(10):
        reply = await heard.get()
    await direct.cancel(tag)
    assert (reply.body, reply.correlation_id) == (event.body, "direct")


async def test_the_reply_to_a_dead_lettered_command_is_its_event(wire: Wire) -> None:
    given = raw_create(data=None)
    async with wire.replies() as replies:
        await wire.publish(json.dumps(given).encode(), reply_to=replies.name, correlation_id="why?")
        reply = await replies.next()
        (event,) = await wire.event_messages_of(given["id"])
        assert (reply.body, reply.correlation_id) == (event.body, "why?")
        assert document(reply)["type"] == "hero.command_dead_lettered"


async def test_what_has_no_id_is_set_aside_without_a_reply(wire: Wire) -> None:
    given = raw_create(id="no uuid")
    later = raw_create(data=None)
    async with wire.replies() as replies:
        for one in (given, later):
            await wire.publish(json.dumps(one).encode(), reply_to=replies.name)
            await wire.settled("00")
        assert document(await replies.next())["causationid"] == later["id"]


@pytest.mark.parametrize(
    "reply_to",
    [
        "amq.gen-nobody",
        "heroes.replies.nobody",
        "amq.rabbitmq.reply-to.nonsense",
        "amq.rabbitmq.reply-to.g1h2AA5yZXBseUAxMjM0NTY3OAAAAAEAAAAAAAAAAA==.abc",
        "heroes.commands.00",
        "heroes.dead_letters",
        "a|b|c",
        "x|missing",
        "heroes.replies.with space",
        "heroes.replies.nobody\n",
        "",
        pytest.param("é" * 127, id="254 bytes"),
    ],
)
async def test_an_impossible_reply_address_neither_fails_nor_holds_up_the_command(wire: Wire, reply_to: str) -> None:
    command = create()
    async with wire.replies("heroes.replies.later") as replies:
        await wire.send(command, reply_to=reply_to, correlation_id="never answered")
        (event,) = await wire.events_of(command.id)
        await wire.settled(command.routing_key)
        later = create()
        await wire.send(later, reply_to=replies.name)  # replies still work, and this one came after
        assert document(await replies.next())["causationid"] == later.id
    assert event["type"] == "hero.created"
    assert await wire.depth(f"heroes.commands.{command.routing_key}") == 0
    assert not [letter for letter in wire.letters if letter.correlation_id == "never answered"]


async def test_nobody_can_have_the_worker_write_into_a_queue_that_is_not_for_replies(wire: Wire) -> None:
    async with wire.replies("somebody.else") as not_for_replies, wire.replies() as replies:
        for command, reply_to in ((create(), not_for_replies.name), (create(), replies.name)):
            await wire.send(command, reply_to=reply_to)
            await wire.settled(command.routing_key)
        await replies.next()
        assert await not_for_replies.is_empty()
