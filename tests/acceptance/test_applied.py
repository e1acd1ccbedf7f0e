"""A new, valid command takes effect, is recorded and announced, and its event is what the contract promises."""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from tests.harness.commands import create, delete, update
from tests.harness.stage import Stage, eventually
from tests.harness.traces_left import SECRET, new_hero, recorded
from tests.harness.wire import Wire, document

pytestmark = pytest.mark.usefixtures("worker")


TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


async def test_a_new_command_takes_effect_is_recorded_announced_and_acknowledged(stage: Stage, wire: Wire) -> None:
    command = create(name="Nova", secret_name=SECRET, age=7)
    event = await wire.outcome(command)
    await wire.settled(command.routing_key)
    assert await wire.depth(f"heroes.commands.{command.routing_key}") == 0

    hero = await stage.hero(event["data"]["hero"]["id"])
    assert hero is not None
    assert (hero["name"], hero["secret_name"], hero["age"], hero["version"]) == ("Nova", SECRET, 7, 1)

    assert await recorded(stage, command) == ("hero.create", "applied", [event])
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    assert len(await wire.events_of(command.id)) == 1


async def test_an_event_carries_the_envelope_that_the_contract_promises(stage: Stage, wire: Wire) -> None:
    command = create(
        name="Nova", secret_name=SECRET, correlationid="order 66", traceparent=TRACE, tracestate="vendor=x"
    )
    event = await wire.outcome(command)
    hero = event["data"]["hero"]
    assert str(UUID(event["id"])) == event["id"]
    assert datetime.fromisoformat(event["time"]).tzinfo is not None
    assert event == {
        "specversion": "1.0",
        "id": event["id"],
        "source": "/heroes-worker",
        "type": "hero.created",
        "time": event["time"],
        "datacontenttype": "application/json",
        "subject": str(hero["id"]),
        "correlationid": "order 66",
        "causationid": command.id,
        "traceparent": TRACE,
        "tracestate": "vendor=x",
        "data": {"hero": hero},
    }
    row = await stage.hero(hero["id"])
    assert row is not None
    moments = {name: datetime.fromisoformat(hero[name]) for name in ("created_at", "updated_at")}
    assert {**hero, **moments} == {name: value for name, value in row.items() if name != "secret_name"}


async def test_an_event_carries_the_amqp_properties_that_the_contract_promises(wire: Wire) -> None:
    command = create(correlationid="order 66", traceparent=TRACE)
    before = datetime.now(UTC) - timedelta(seconds=2)
    await wire.send(command)
    (message,) = await wire.event_messages_of(command.id)
    event = document(message)
    assert (message.exchange, message.routing_key) == ("heroes.events", "hero.created")
    assert (message.message_id, message.type) == (event["id"], "hero.created")
    assert (message.correlation_id, message.app_id) == ("order 66", "heroes-worker")
    assert (message.content_type, message.delivery_mode) == ("application/cloudevents+json", 2)
    assert message.timestamp is not None
    assert before <= message.timestamp.astimezone(UTC) <= datetime.now(UTC) + timedelta(seconds=2)
    assert message.headers == {"traceparent": TRACE}


async def test_without_a_correlation_id_the_commands_own_id_takes_its_place(wire: Wire) -> None:
    command = create()
    await wire.send(command, correlation_id="a reply's business, not the event's")
    (message,) = await wire.event_messages_of(command.id)
    assert (document(message)["correlationid"], message.correlation_id) == (command.id, command.id)
    assert "traceparent" not in document(message)
    assert not message.headers


async def test_the_secret_name_stands_in_no_event_no_header_and_no_log(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.DEBUG, logger="worker")
    hero_id = await new_hero(wire, secret_name=SECRET)
    changed = update(hero_id, {"secret_name": SECRET + " still"})
    gone = delete(hero_id)
    for command in (changed, gone):
        await wire.outcome(command)
    await wire.settled(gone.routing_key)
    assert len(wire.events) >= 3
    for message in wire.events:
        assert SECRET not in message.body.decode()
        assert SECRET not in str(message.headers)
        assert SECRET not in str(message.properties)
    assert SECRET not in caplog.text


async def test_an_update_changes_what_was_sent_and_tells_it(stage: Stage, wire: Wire) -> None:
    hero_id = await new_hero(wire, name="Old", age=40)
    event = await wire.outcome(update(hero_id, {"name": "New", "age": None}))
    assert (event["type"], event["subject"]) == ("hero.updated", str(hero_id))
    assert sorted(event["data"]["changed"]) == ["age", "name"]
    assert _told(event) == {"id": hero_id, "name": "New", "age": None, "version": 2}
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["secret_name"], hero["age"], hero["version"]) == ("New", SECRET, None, 2)
    assert hero["updated_at"] > hero["created_at"]


async def test_an_update_to_the_same_value_is_a_change(wire: Wire) -> None:
    hero_id = await new_hero(wire, name="Same")
    event = await wire.outcome(update(hero_id, {"name": "Same"}))
    assert (event["data"]["changed"], event["data"]["hero"]["version"]) == (["name"], 2)


async def test_an_update_that_expects_the_present_version_is_applied(wire: Wire) -> None:
    hero_id = await new_hero(wire)
    event = await wire.outcome(update(hero_id, {"age": 1}, expected_version=1))
    assert event["data"]["hero"]["version"] == 2


async def test_a_delete_removes_the_hero_and_tells_how_it_was_last(stage: Stage, wire: Wire) -> None:
    hero_id = await new_hero(wire, name="Last", age=99)
    event = await wire.outcome(delete(hero_id, expected_version=1))
    assert (event["type"], event["subject"]) == ("hero.deleted", str(hero_id))
    assert _told(event) == {"id": hero_id, "name": "Last", "age": 99, "version": 1}
    assert await stage.hero(hero_id) is None


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    hero = event["data"]["hero"]
    return {name: hero[name] for name in ("id", "name", "age", "version")}
