"""Every row of the failure table in docs/architecture.md that needs no outage, on a real broker and database."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import SLOTS, slot
from contracts.envelope import Command
from tests.harness.commands import create, delete, document_of, raw_create, update
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document, reason_of
from tests.harness.workers import tidy_worker
from worker.app import Worker
from worker.outcomes import Outcome
from worker.persistence import inbox

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
SECRET = "kept-to-myself"
NOBODY = 2**62
"""No hero ever has this id here."""


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """One worker for all tests of this module; at prefetch 1, so that `Wire.settled` proves what it says."""
    async with tidy_worker(stage, prefetch=1) as running:
        yield running


# --- new, valid -------------------------------------------------------------------------------------------------------


async def test_a_new_command_takes_effect_is_recorded_announced_and_acknowledged(stage: Stage, wire: Wire) -> None:
    command = create(name="Nova", secret_name=SECRET, age=7)
    event = await wire.outcome(command)
    await wire.settled(command.routing_key)
    assert await wire.depth(f"heroes.commands.{command.routing_key}") == 0

    hero = await stage.hero(event["data"]["hero"]["id"])
    assert hero is not None
    assert (hero["name"], hero["secret_name"], hero["age"], hero["version"]) == ("Nova", SECRET, 7, 1)

    assert await _inbox(stage, command) == ("hero.create", "applied", [event])
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
    hero_id = await _new_hero(wire, secret_name=SECRET)
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
    hero_id = await _new_hero(wire, name="Old", age=40)
    event = await wire.outcome(update(hero_id, {"name": "New", "age": None}))
    assert (event["type"], event["subject"]) == ("hero.updated", str(hero_id))
    assert sorted(event["data"]["changed"]) == ["age", "name"]
    assert _told(event) == {"id": hero_id, "name": "New", "age": None, "version": 2}
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["secret_name"], hero["age"], hero["version"]) == ("New", SECRET, None, 2)
    assert hero["updated_at"] > hero["created_at"]


async def test_an_update_to_the_same_value_is_a_change(wire: Wire) -> None:
    hero_id = await _new_hero(wire, name="Same")
    event = await wire.outcome(update(hero_id, {"name": "Same"}))
    assert (event["data"]["changed"], event["data"]["hero"]["version"]) == (["name"], 2)


async def test_an_update_that_expects_the_present_version_is_applied(wire: Wire) -> None:
    hero_id = await _new_hero(wire)
    event = await wire.outcome(update(hero_id, {"age": 1}, expected_version=1))
    assert event["data"]["hero"]["version"] == 2


async def test_a_delete_removes_the_hero_and_tells_how_it_was_last(stage: Stage, wire: Wire) -> None:
    hero_id = await _new_hero(wire, name="Last", age=99)
    event = await wire.outcome(delete(hero_id, expected_version=1))
    assert (event["type"], event["subject"]) == ("hero.deleted", str(hero_id))
    assert _told(event) == {"id": hero_id, "name": "Last", "age": 99, "version": 1}
    assert await stage.hero(hero_id) is None


# --- duplicates -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["create", "update", "delete", "rejected"])
async def test_a_duplicate_whose_events_are_out_changes_nothing_and_publishes_nothing(
    stage: Stage, wire: Wire, kind: str
) -> None:
    hero_id = await _new_hero(wire)
    command = _some(kind, hero_id)
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    before = await _everything(stage, command, hero_id)

    await wire.send(command)
    await wire.send(command)
    await wire.settled(command.routing_key)

    assert await _everything(stage, command, hero_id) == before
    assert len(await wire.events_of(command.id)) == 1


async def test_twins_at_the_same_moment_take_effect_once(stage: Stage, wire: Wire) -> None:
    """Through different queues, so that they are really under way together."""
    name = f"Twin {uuid4()}"
    command = create(name=name)
    slots = [f"{number:02d}" for number in range(SLOTS)]
    await asyncio.gather(*(wire.publish(command.to_json(), key) for key in slots))
    for key in slots:
        await wire.settled(key)
    heroes = await stage.rows("SELECT id FROM hero WHERE name = $1", name)
    assert len(heroes) == 1
    assert {event["data"]["hero"]["id"] for event in await wire.events_of(command.id)} == {heroes[0]["id"]}
    assert len(await wire.events_of(command.id)) == 1


async def test_a_duplicate_that_looked_just_before_the_row_was_marked_publishes_nothing(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    command, looked = create(), asyncio.Event()
    claim, mark_published = inbox.claim, inbox.mark_published

    async def claim_and_dawdle(driver: Any, claimed: Command) -> Any:
        result = await claim(driver, claimed)
        if claimed.id == command.id and isinstance(result, Outcome):
            looked.set()
            await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
        return result

    async def mark_once_it_looked(session: Any, marks: Mapping[str, str]) -> None:
        if command.id in marks:
            await looked.wait()
        await mark_published(session, marks)

    monkeypatch.setattr(inbox, "claim", claim_and_dawdle)
    monkeypatch.setattr(inbox, "mark_published", mark_once_it_looked)
    await asyncio.gather(wire.send(command), wire.send(command))
    async with asyncio.timeout(10):
        await looked.wait()
    await wire.settled(command.routing_key)
    assert len(await wire.events_of(command.id)) == 1


@pytest.mark.parametrize("kind", ["update", "rejected", "expired"])
async def test_a_duplicate_whose_events_are_not_out_publishes_the_very_same_events(
    stage: Stage, wire: Wire, kind: str
) -> None:
    hero_id = await _new_hero(wire)
    command = _some(kind, hero_id)
    await wire.outcome(command)
    await eventually(lambda: stage.is_published(command.id), "the row is marked as published")
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", command.id)
    before = await _everything(stage, command, hero_id)

    await wire.send(command)
    first, second = await wire.event_messages_of(command.id, 2)

    assert second.body == first.body
    assert _properties(second) == _properties(first)
    await wire.settled(command.routing_key)
    await eventually(lambda: stage.is_published(command.id), "the row is marked again")
    assert _unmarked(await _everything(stage, command, hero_id)) == _unmarked(before)
    assert len(await wire.events_of(command.id)) == 2


async def test_a_rejection_stands_even_if_the_command_would_succeed_by_now(stage: Stage, wire: Wire) -> None:
    hero_id = NOBODY - 1
    command = update(hero_id, {"name": "Too late"})
    assert (await wire.outcome(command))["data"]["code"] == "hero_not_found"
    await stage.rows(
        "INSERT INTO hero (id, name, secret_name) OVERRIDING SYSTEM VALUE VALUES ($1, 'Now here', 'x')", hero_id
    )
    await wire.send(command)
    await wire.settled(command.routing_key)
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["version"]) == ("Now here", 1)
    assert len(await wire.events_of(command.id)) == 1


_REWRITTEN: dict[str, Callable[[dict[str, Any]], bytes]] = {
    "other key order": lambda given: json.dumps(_reversed(given)).encode(),
    "other whitespace": lambda given: b"\r\n\t " + json.dumps(given, indent=3).encode() + b" \n",
    "escaped letters": lambda given: "".join(
        f"\\u{ord(letter):04x}" if letter in "aé" else letter for letter in json.dumps(given, ensure_ascii=False)
    ).encode(),
    "unescaped letters": lambda given: json.dumps(given, ensure_ascii=False).encode(),
    "unknown attributes": lambda given: json.dumps({**given, "partitionkey": "7", "extra": {"deep": [1]}}).encode(),
    "another time and source": lambda given: json.dumps(
        {**given, "time": "2001-02-03T04:05:06Z", "source": "/again"}
    ).encode(),
    "no time": lambda given: json.dumps({name: value for name, value in given.items() if name != "time"}).encode(),
    "another trace": lambda given: json.dumps({**given, "traceparent": TRACE, "correlationid": "again"}).encode(),
    "a data content type": lambda given: json.dumps({**given, "datacontenttype": "application/json"}).encode(),
    "an expiry time that has passed": lambda given: json.dumps(
        {**given, "expirytime": "2001-02-03T04:05:06Z"}
    ).encode(),
}


@pytest.mark.parametrize("rewrite", _REWRITTEN.values(), ids=_REWRITTEN)
async def test_a_resend_that_is_written_differently_is_a_duplicate(
    stage: Stage, wire: Wire, rewrite: Callable[[dict[str, Any]], bytes]
) -> None:
    name = f"Zoé {uuid4()}"
    given = raw_create(data={"name": name, "secret_name": "a b", "age": 1})
    key = slot(given["id"])
    await wire.publish(json.dumps(given).encode(), key)
    await wire.events_of(given["id"])
    await wire.publish(rewrite(given), key)
    await wire.settled(key)
    assert len(await wire.events_of(given["id"])) == 1
    assert not [letter for letter in wire.letters if given["id"].encode() in letter.body]
    assert len(await stage.rows("SELECT id FROM hero WHERE name = $1", name)) == 1


# --- the same id, different content -----------------------------------------------------------------------------------

_REUSED: dict[str, Callable[[Command, int], Command]] = {
    "other data": lambda first, _: create(name="Someone else", id=first.id),
    "age null instead of absent": lambda first, _: create(id=first.id),
    "another type": lambda first, hero_id: delete(hero_id, id=first.id),
}


@pytest.mark.parametrize("reuse", _REUSED.values(), ids=_REUSED)
async def test_another_command_under_a_handled_id_is_set_aside_and_announced_the_same_each_time(
    stage: Stage, wire: Wire, reuse: Callable[[Command, int], Command]
) -> None:
    hero_id = await _new_hero(wire)
    first = create(age=5)
    key = first.routing_key
    await wire.outcome(first)
    await eventually(lambda: stage.is_published(first.id), "the row is marked as published")
    before = await _everything(stage, first, hero_id)
    other = reuse(first, hero_id)

    await wire.publish(other.to_json(), key)
    await wire.publish(other.to_json(), key)
    _, told, again = await wire.event_messages_of(first.id, 3)
    await wire.settled(key)

    event = document(told)
    assert told.body == again.body
    assert (told.message_id, _properties(told)) == (event["id"], _properties(again))
    assert UUID(event["id"]).version == 5
    assert event["type"] == "hero.command_dead_lettered"
    assert (event["data"]["reason"], event["data"]["command_type"]) == ("id_reused", other.type)
    assert event["time"] == other.time
    letters = await wire.letters_with(other.to_json(), 2)
    assert [reason_of(letter) for letter in letters] == ["id_reused", "id_reused"]
    assert letters[0].headers["x-dead-letter-detail"] == event["data"]["detail"]
    assert len(await wire.events_of(first.id)) == 3
    assert await _everything(stage, first, hero_id) == before


async def test_two_different_bodies_under_one_handled_id_are_two_different_events(wire: Wire) -> None:
    first = create(name="First")
    await wire.outcome(first)
    for name in ("Second", "Third"):
        await wire.publish(create(name=name, id=first.id).to_json(), first.routing_key)
    _, second, third = await wire.events_of(first.id, 3)
    assert second["id"] != third["id"]


async def test_a_reused_id_that_told_no_time_is_announced_without_one_and_still_the_same(wire: Wire) -> None:
    given = raw_create()
    del given["time"]
    other = {**given, "data": {**given["data"], "name": "Someone else"}}
    key = slot(given["id"])
    for one in (given, other, other):
        await wire.publish(json.dumps(one).encode(), key)
    _, told, again = await wire.event_messages_of(given["id"], 3)
    assert "time" not in document(told)
    assert told.body == again.body


# --- business no ------------------------------------------------------------------------------------------------------

_REFUSED: dict[str, tuple[Callable[[int], Command], str]] = {
    "update of a hero that is not there": (lambda _: update(NOBODY, {"age": 1}), "hero_not_found"),
    "delete of a hero that is not there": (lambda _: delete(NOBODY), "hero_not_found"),
    "update, a version of no hero": (lambda _: update(NOBODY, {"age": 1}, expected_version=1), "hero_not_found"),
    "delete, a version of no hero": (lambda _: delete(NOBODY, expected_version=1), "hero_not_found"),
    "update of another version": (lambda hero: update(hero, {"age": 1}, expected_version=2), "version_conflict"),
    "delete of another version": (lambda hero: delete(hero, expected_version=2), "version_conflict"),
}


@pytest.mark.parametrize(("make", "code"), _REFUSED.values(), ids=_REFUSED)
async def test_a_business_no_is_recorded_and_announced_and_changes_nothing(
    stage: Stage, wire: Wire, make: Callable[[int], Command], code: str
) -> None:
    hero_id = await _new_hero(wire)
    before = await stage.hero(hero_id)
    command = make(hero_id)
    event = await wire.outcome(command)
    await wire.settled(command.routing_key)
    assert (event["type"], event["causationid"]) == ("hero.command_rejected", command.id)
    assert event["subject"] == str(document_of(command)["data"]["hero_id"])
    assert (event["data"]["command_type"], event["data"]["code"]) == (command.type, code)
    assert event["data"]["detail"]
    assert await _inbox(stage, command) == (command.type, "rejected", [event])
    assert await stage.hero(hero_id) == before
    assert not await stage.hero(NOBODY)
    assert not [letter for letter in wire.letters if letter.body == command.to_json()]


# --- expired ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "expirytime",
    [
        "2001-02-03T04:05:06Z",
        "2001-02-03t04:05:06.123456789z",
        "2001-02-03T04:05:06+14:00",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
    ],
)
async def test_a_command_that_expired_before_its_first_claim_is_rejected(
    stage: Stage, wire: Wire, expirytime: str
) -> None:
    command = create(name=f"Late {uuid4()}", expirytime=expirytime)
    event = await wire.outcome(command)
    assert (event["type"], event["data"]["code"]) == ("hero.command_rejected", "expired")
    assert await _inbox(stage, command) == ("hero.create", "rejected", [event])
    assert not await stage.rows("SELECT id FROM hero WHERE name = $1", command.data.name)


@pytest.mark.parametrize("expirytime", ["2999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59"])
async def test_a_command_that_has_not_expired_is_applied(wire: Wire, expirytime: str) -> None:
    assert (await wire.outcome(create(expirytime=expirytime)))["type"] == "hero.created"


async def test_a_command_that_expired_after_it_was_applied_stays_applied(stage: Stage, wire: Wire) -> None:
    (clock,) = await stage.rows("SELECT clock_timestamp() AS now")
    command = create(expirytime=(clock["now"] + timedelta(seconds=2)).isoformat())
    event = await wire.outcome(command)
    assert event["type"] == "hero.created"
    expired = "SELECT 1 WHERE clock_timestamp() > $1"
    await eventually(lambda: stage.rows(expired, datetime.fromisoformat(command.expirytime or "")), "it expired")
    await wire.send(command)
    await wire.settled(command.routing_key)
    assert len(await wire.events_of(command.id)) == 1
    assert await _inbox(stage, command) == ("hero.create", "applied", [event])


# --- malformed, unknown type ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "reason"), [({"data": {"name": "Half a hero"}}, "invalid_command"), ({"type": "hero.x"}, "unknown_type")]
)
async def test_what_is_no_command_is_set_aside_and_announced_without_a_row(
    stage: Stage, wire: Wire, change: Mapping[str, Any], reason: str
) -> None:
    given = raw_create(**change)
    body = json.dumps(given).encode()
    await wire.publish(body)
    (letter,) = await wire.letters_with(body)
    (event,) = await wire.events_of(given["id"])
    await wire.settled("00")
    assert reason_of(letter) == reason
    assert (event["type"], event["data"]["reason"]) == ("hero.command_dead_lettered", reason)
    assert await stage.inbox(given["id"]) is None


async def test_the_id_of_a_malformed_command_is_free_for_the_corrected_one(stage: Stage, wire: Wire) -> None:
    given = raw_create(data={"name": "Half a hero"})
    key = slot(given["id"])
    await wire.publish(json.dumps(given).encode(), key)
    await wire.events_of(given["id"])
    await wire.publish(json.dumps({**given, "data": {"name": "Whole", "secret_name": SECRET}}).encode(), key)
    _, event = await wire.events_of(given["id"], 2)
    assert event["type"] == "hero.created"


# --- slots ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("routing_key", ["", "16", "7", "000", "hero.create", pytest.param("é" * 100, id="200 bytes")])
async def test_a_command_whose_routing_key_is_no_slot_is_applied(stage: Stage, wire: Wire, routing_key: str) -> None:
    command = create()
    await wire.publish(command.to_json(), routing_key)
    (event,) = await wire.events_of(command.id)
    await wire.settled(routing_key)
    assert event["type"] == "hero.created"
    assert await wire.depth("heroes.commands.unslotted") == 0
    assert await _inbox(stage, command) == ("hero.create", "applied", [event])


async def test_a_bad_command_without_a_slot_keeps_its_routing_key_on_the_letter(wire: Wire) -> None:
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, "nowhere")
    (letter,) = await wire.letters_with(body)
    assert letter.headers["x-original-exchange"] == "heroes.commands"
    assert letter.headers["x-original-routing-key"] == "nowhere"


async def test_a_command_in_a_wrong_slot_is_applied(stage: Stage, wire: Wire) -> None:
    hero_id = await _new_hero(wire)
    command = update(hero_id, {"name": "Strayed"})
    wrong = f"{(int(command.routing_key) + 1) % SLOTS:02d}"
    await wire.publish(command.to_json(), wrong)
    (event,) = await wire.events_of(command.id)
    await wire.settled(wrong)
    assert event["type"] == "hero.updated"
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert hero["name"] == "Strayed"


# --- replies ----------------------------------------------------------------------------------------------------------


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
    command = _some(kind, await _new_hero(wire))
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


def _some(kind: str, hero_id: int) -> Command:
    made: dict[str, Callable[[], Command]] = {
        "create": lambda: create(secret_name=SECRET, age=1),
        "update": lambda: update(hero_id, {"age": 2, "secret_name": SECRET}),
        "delete": lambda: delete(hero_id),
        "rejected": lambda: update(hero_id, {"age": 2}, expected_version=7),
        "expired": lambda: delete(hero_id, expirytime="2001-02-03T04:05:06Z"),
    }
    return made[kind]()


async def _new_hero(wire: Wire, name: str = "Ada", secret_name: str = SECRET, age: int | None = 36) -> int:
    event = await wire.outcome(create(name=name, secret_name=secret_name, age=age))
    hero_id: int = event["data"]["hero"]["id"]
    return hero_id


async def _inbox(stage: Stage, command: Command) -> tuple[str, str, list[dict[str, Any]]]:
    row = await stage.inbox(command.id)
    assert row is not None
    return row["command_type"], row["outcome"], json.loads(row["events"])


async def _everything(stage: Stage, command: Command, hero_id: int) -> dict[str, Any]:
    """What a duplicate must leave as it is."""
    (found,) = await stage.rows(
        "SELECT (SELECT to_jsonb(inbox) FROM inbox WHERE command_id = $1) AS inbox,"
        " (SELECT to_jsonb(hero) FROM hero WHERE id = $2) AS hero,"
        " (SELECT count(*) FROM hero WHERE name <> 'Barrier') AS heroes",
        command.id,
        hero_id,
    )
    return {**found, "inbox": json.loads(found["inbox"])}


def _unmarked(everything: dict[str, Any]) -> dict[str, Any]:
    return {**everything, "inbox": {**everything["inbox"], "published_at": None}}


def _properties(message: AbstractIncomingMessage) -> tuple[object, ...]:
    return (
        message.message_id,
        message.type,
        message.correlation_id,
        message.content_type,
        message.delivery_mode,
        message.timestamp,
        message.app_id,
        dict(message.headers),
        message.routing_key,
    )


def _told(event: Mapping[str, Any]) -> dict[str, Any]:
    hero = event["data"]["hero"]
    return {name: hero[name] for name in ("id", "name", "age", "version")}


def _reversed(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reversed(value[name]) for name in reversed(value)}
    return value
