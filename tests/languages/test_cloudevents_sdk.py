"""The official CloudEvents SDK for Python writes commands that the worker takes, and reads the worker's events."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage
from cloudevents.core.bindings.rabbitmq import (
    RabbitMQMessage,
    from_rabbitmq_event,
    to_binary_event,
    to_structured_event,
)
from cloudevents.core.v1.event import CloudEvent
from cloudevents.v1.conversion import to_dict, to_json
from cloudevents.v1.http import CloudEvent as HttpEvent
from cloudevents.v1.http import from_dict, from_json

from contracts.channels import slot
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of
from tests.harness.workers import tidy_worker

DATA = {"name": "Sky", "secret_name": "nobody knows", "age": None}
EXTENSIONS = {"correlationid": "order-4711", "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"}


@pytest_asyncio.fixture(scope="module", loop_scope="session", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[None]:
    async with tidy_worker(stage):
        yield


async def told(wire: Wire, message: RabbitMQMessage, command_id: str) -> AbstractIncomingMessage:
    """The event that a message of the SDK's caused."""
    await wire.publish(message.body, slot(command_id), content_type=message.content_type, headers=dict(message.headers))
    (event,) = await wire.event_messages_of(command_id)
    return event


def read(message: AbstractIncomingMessage) -> CloudEvent:
    """The event as the SDK sees it, its mode found out by the SDK."""
    headers = {name: str(value) for name, value in message.headers.items()}
    event = from_rabbitmq_event(RabbitMQMessage(headers, message.content_type, message.body))
    assert isinstance(event, CloudEvent)
    return event


async def test_a_command_written_in_structured_mode_is_applied_and_its_event_read(stage: Stage, wire: Wire) -> None:
    command = CloudEvent({"type": "hero.create", "source": "/sdk", **EXTENSIONS}, DATA)
    event = read(await told(wire, to_structured_event(command), command.get_id()))
    assert (event.get_type(), event.get_source()) == ("hero.created", "/heroes-worker")
    assert event.get_extension("causationid") == command.get_id()
    assert {name: event.get_extension(name) for name in EXTENSIONS} == EXTENSIONS
    assert event.get_time() is not None
    data = event.get_data()
    assert isinstance(data, dict)
    row = await stage.hero(data["hero"]["id"])
    assert row is not None
    assert (str(row["id"]), row["name"], row["age"]) == (event.get_subject(), "Sky", None)


async def test_a_command_written_with_the_older_interface_is_applied_and_its_event_read(wire: Wire) -> None:
    command = HttpEvent({"type": "hero.create", "source": "/sdk"}, DATA)
    body = RabbitMQMessage({}, "application/cloudevents+json", to_json(command))
    message = await told(wire, body, command["id"])
    event = from_json(message.body)
    assert event == from_dict(document(message))
    assert to_dict(event)["causationid"] == command["id"]
    assert event.data["hero"]["name"] == "Sky"


@pytest.mark.parametrize("attributes", [{}, EXTENSIONS], ids=["bare", "with extensions"])
async def test_a_rejection_is_read_too(wire: Wire, attributes: dict[str, str]) -> None:
    data = {"hero_id": 2**62, "expected_version": 1}
    command = CloudEvent({"type": "hero.delete", "source": "/sdk", "subject": "ignored", **attributes}, data)
    event = read(await told(wire, to_structured_event(command), command.get_id()))
    assert event.get_type() == "hero.command_rejected"
    rejected = event.get_data()
    assert isinstance(rejected, dict)
    assert rejected["code"] == "hero_not_found"


async def test_binary_mode_is_no_command_and_is_set_aside_with_the_reason(wire: Wire) -> None:
    """docs/wire.md asks for structured mode: the body is the whole message."""
    command = CloudEvent({"type": "hero.create", "source": "/sdk"}, {**DATA, "name": str(uuid4())})
    message = to_binary_event(command)
    await wire.publish(message.body, content_type="application/json", headers=dict(message.headers))
    (letter,) = await wire.letters_with(message.body)
    assert reason_of(letter) == "invalid_command"
