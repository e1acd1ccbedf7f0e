"""Whatever arrives that is no valid command is set aside for its reason, untouched, and the worker goes on serving."""

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from aio_pika.abc import AbstractIncomingMessage
from pamqp import encode
from yarl import URL

from contracts.channels import SLOTS
from tests.harness.commands import raw_create, spliced
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of
from tests.harness.workers import tidy_worker
from worker.app import Worker

SECRET = "kept-to-myself"
LIMIT = 1_048_576
CREATED, REFUSED = "hero.created", "hero.command_rejected"
NOBODY = 2**63 - 1
"""The largest id; no hero has it."""


@pytest_asyncio.fixture(loop_scope="session", scope="module", autouse=True)
async def worker(stage: Stage) -> AsyncIterator[Worker]:
    """One worker for all tests of this module; at prefetch 1, so that `Wire.settled` proves what it says."""
    async with tidy_worker(stage, prefetch=1, worker_id="bad-input-worker") as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def one_wire(stage: Stage) -> AsyncIterator[Wire]:
    """One connection for all tests of this module: they are many and small."""
    async with Wire.connected(stage) as connected:
        yield connected


@pytest.fixture
def wire(one_wire: Wire) -> Wire:
    """It has heard nothing yet; the tests leave nothing under way for each other."""
    one_wire.events.clear()
    one_wire.letters.clear()
    return one_wire


@dataclass(frozen=True, slots=True)
class Case:
    """A body, and the id that can be read of it, if any."""

    name: str
    body: bytes
    command_id: str | None = None
    reason: str = "invalid_command"
    properties: dict[str, Any] = field(default_factory=dict)


# --- what is refused --------------------------------------------------------------------------------------------------

ABSENT = object()
_GOOD_DATA = {"name": SECRET, "secret_name": SECRET}
_NESTED_ARRAYS = b"[" * 10_000 + b"]" * 10_000
_NESTED_OBJECTS = b'{"a":' * 10_000 + b"1" + b"}" * 10_000
_HUGE = b"1" + b"0" * 400


def _command(**attributes: Any) -> dict[str, Any]:
    made = raw_create(**{"data": _GOOD_DATA, **attributes})
    return {name: value for name, value in made.items() if value is not ABSENT}


def _case(name: str, /, *, reason: str = "invalid_command", token: bytes | None = None, **attributes: Any) -> Case:
    """A command that is wrong in these attributes; its id can still be read."""
    command = _command(**attributes)
    body = json.dumps(command).encode() if token is None else spliced(command, token)
    return Case(name, body, command["id"], reason)


def _unread(name: str, token: bytes | None = None, /, **attributes: Any) -> Case:
    """The same where no id can be read."""
    command = _command(**attributes)
    return Case(name, json.dumps(command).encode() if token is None else spliced(command, token))


def _data(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """A create that is wrong in these fields of its data."""
    kept = {key: value for key, value in {**_GOOD_DATA, **fields}.items() if value is not ABSENT}
    return _case(name, token=token, data=kept)


def _update(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """An update that is wrong in these fields of its data."""
    given = {"hero_id": NOBODY, "changes": {"name": SECRET}, **fields}
    kept = {key: value for key, value in given.items() if value is not ABSENT}
    return _case(name, token=token, type="hero.update", data=kept)


def _delete(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """A delete that is wrong in these fields of its data."""
    return _case(name, token=token, type="hero.delete", data={"hero_id": NOBODY, **fields})


def _no_json() -> Iterator[Case]:
    yield Case("empty", b"")
    yield Case("blanks", b" \r\n")
    yield Case("not json", b"create a hero, please")
    yield Case("cut off", json.dumps(_command()).encode()[:-1])
    yield Case("something after it", json.dumps(_command()).encode() + b"{}")
    yield Case("single quotes", json.dumps(_command()).replace('"', "'").encode())
    yield Case("not utf-8", b"\xff\xfe\x00\x80")
    yield Case("not utf-8 inside", json.dumps(_command()).encode().replace(b"kept", b"k\xe9pt", 1))
    yield Case("utf-16", json.dumps(_command()).encode("utf-16"))
    yield Case("byte order mark", b"\xef\xbb\xbf" + json.dumps(_command()).encode())
    yield Case("zeros", b"\0" * 100)
    yield Case("line break in a string", json.dumps(_command()).replace("kept", "ke\npt").encode())
    for name, token in {"half a surrogate pair": rb'"\ud83d"', "the other half": rb'"x\ude00"'}.items():
        yield _unread(f"{name} in name", token, data={**_GOOD_DATA, "name": "@@"})
        yield _unread(f"{name} in an ignored attribute", token, extra="@@")
    yield _unread("a surrogate as bytes", b'"\xed\xa0\x80"', data={**_GOOD_DATA, "name": "@@"})
    for name, nested in {"arrays": _NESTED_ARRAYS, "objects": _NESTED_OBJECTS}.items():
        yield Case(f"10 000 nested {name}", nested)
        yield _unread(f"10 000 nested {name} as data", nested, data="@@")
        yield _unread(f"10 000 nested {name} in an ignored attribute", nested, extra="@@")
    yield Case("10 000 opening brackets", b"[" * 10_000)


def _no_envelope() -> Iterator[Case]:
    for body in (b"[]", b"[[1]]", b'"text"', b"3", b"null", b"true", b"{}", b'{"data":{}}'):
        yield Case(f"only {body.decode()}", body)
    for attribute in ("specversion", "source", "type", "data"):
        absent: dict[str, Any] = {attribute: ABSENT}
        null: dict[str, Any] = {attribute: None}
        yield _case(f"no {attribute}", **absent)
        yield _case(f"{attribute} null", **null)
    yield Case("no id", json.dumps({key: value for key, value in _command().items() if key != "id"}).encode())
    yield _case("specversion a number", specversion=1.0)
    yield _case("specversion of another time", specversion="0.3")
    yield _case("source empty", source="")
    yield _case("source with a space", source="my source")
    yield _case("data content type xml", datacontenttype="text/xml")
    yield _case("data a list", data=[_GOOD_DATA])
    yield _case("data a string", data=json.dumps(_GOOD_DATA))
    yield _case("data in base64", data=ABSENT, data_base64="e30=")
    yield _case("type a number", type=3)
    yield _case("type a list", type=["hero.create"])
    yield _case("type an object", type={"hero.create": 1})
    for kind in ("hero.explode", "HERO.CREATE", "hero.create ", "hero.create.v2", "x" * 100_000, "hero.create\0"):
        yield _case(f"type {kind[:20]!r}", reason="unknown_type", type=kind)


def _no_id() -> Iterator[Case]:
    good = str(uuid4())
    spoilt: dict[str, Any] = {
        "no uuid": SECRET,
        "empty": "",
        "upper-case": good.upper(),
        "urn": f"urn:uuid:{good}",
        "in braces": f"{{{good}}}",
        "without hyphens": good.replace("-", ""),
        "with a line break": f"{good}\n",
        "with a blank": f" {good}",
        "a number": 7,
        "null": None,
        "a list": [good],
        "with fullwidth digits": good.replace(good[0], "\uff11", 1),
    }
    for name, value in spoilt.items():
        yield _unread(f"id {name}", id=value)


def _wrong_attributes() -> Iterator[Case]:
    moments: dict[str, Any] = {
        "no moment": SECRET,
        "the 30th of February": "2026-02-30T00:00:00Z",
        "month 13": "2026-13-01T00:00:00Z",
        "hour 25": "2026-01-01T25:00:00Z",
        "year 0": "0000-01-01T00:00:00Z",
        "a date": "2026-01-01",
        "without a zone": "2026-01-01T00:00:00",
        "zone without a colon": "2026-01-01T00:00:00+0100",
        "zone of 99 hours": "2026-01-01T00:00:00+99:00",
        "a blank for the T": "2026-01-01 00:00:00Z",
        "a week date": "2026-W01-1T00:00:00Z",
        "a line break after it": "2026-01-01T00:00:00Z\n",
        "a number": 1_767_225_600,
        "empty": "",
    }
    for name, value in moments.items():
        yield _case(f"time {name}", time=value)
    for name in ("the 30th of February", "without a zone", "a number"):
        yield _case(f"expirytime {name}", expirytime=moments[name])
    yield _case("correlationid 256 bytes", correlationid="x" * 256)
    yield _case("correlationid 256 bytes of two each", correlationid="é" * 128)
    yield _case("correlationid empty", correlationid="")
    yield _case("correlationid a number", correlationid=7)
    yield _case("correlationid with U+0000", correlationid="a\0b")
    yield _case("traceparent of 100 000 characters", traceparent="0" * 100_000)
    yield _case("traceparent with U+0000", traceparent="a\0b")
    yield _case("tracestate of 100 000 characters", tracestate="0" * 100_000)
    yield _case("source of 100 000 characters", source="s" * 100_000)


def _wrong_data() -> Iterator[Case]:
    for name in ("name", "secret_name"):
        yield _data(f"{name} missing", **{name: ABSENT})
        yield _data(f"{name} null", **{name: None})
        yield _data(f"{name} empty", **{name: ""})
        yield _data(f"{name} of 201", **{name: "x" * 201})
        yield _data(f"{name} a number", **{name: 5})
        yield _data(f"{name} a list", **{name: [SECRET]})
        yield _data(f"{name} with U+0000", **{name: f"{SECRET}\0"})
    yield _data("an extra field", power=SECRET)
    yield _data("an id of one's own", id=1)
    yield _data("many extra fields", **{f"extra_{number}": SECRET for number in range(5_000)})
    yield _data("an extra field with a long name", **{"f" * 100_000: 1})
    ages: dict[str, Any] = {"-1": -1, "2**31": 2**31, "a string": "3", "true": True, "3.0": 3.0, "a list": [3]}
    for name, age in ages.items():
        yield _data(f"age {name}", age=age)
    for token in (b"NaN", b"Infinity", b"-Infinity", b"3e0", b"1e400", _HUGE, b"-" + _HUGE):
        yield _data(f"age {token[:9].decode()}", token, age="@@")
    ids: dict[str, Any] = {"0": 0, "-1": -1, "2**63": 2**63, "a string": "3", "true": True, "3.0": 3.0, "null": None}
    for name, hero_id in ids.items():
        yield _update(f"update, hero_id {name}", hero_id=hero_id)
        yield _delete(f"delete, hero_id {name}", hero_id=hero_id)
    yield _update("update, hero_id 10**400", _HUGE, hero_id="@@")
    yield _update("update, hero_id missing", hero_id=ABSENT)
    versions: dict[str, Any] = {"0": 0, "2**31": 2**31, "a string": "1", "true": True, "1.0": 1.0}
    for name, version in versions.items():
        yield _update(f"update, expected_version {name}", expected_version=version)
        yield _delete(f"delete, expected_version {name}", expected_version=version)
    yield _update("changes missing", changes=ABSENT)
    yield _update("changes null", changes=None)
    yield _update("changes empty", changes={})
    yield _update("changes a list", changes=["name"])
    yield _update("change of name to null", changes={"name": None})
    yield _update("change of secret_name to null", changes={"secret_name": None})
    yield _update("change of name to nothing", changes={"name": ""})
    yield _update("change of name to 201", changes={"name": "x" * 201})
    yield _update("change with U+0000", changes={"name": f"{SECRET}\0"})
    yield _update("change of age to a string", changes={"age": "3"})
    yield _update("change of the id", changes={"name": "x", "id": 7})
    yield _update("change of the version", changes={"version": 7})
    yield _update("name beside the changes", name=SECRET)
    yield _delete("delete with changes", changes={"name": SECRET})


def _too_large() -> Iterator[Case]:
    for name, size in {"one byte over the limit": LIMIT + 1, "2 MiB": 2 * LIMIT}.items():
        command = _command(padding="")
        body = json.dumps({**command, "padding": "x" * (size - len(json.dumps(command)))}).encode()
        yield Case(f"body {name}", body, command["id"])
    yield Case("2 MiB of blanks", b" " * 2 * LIMIT)
    yield Case("2 MiB of brackets", b"[" * 2 * LIMIT)


def _other_content_types() -> Iterator[Case]:
    for content_type in ("text/plain", "application/xml", "application/jsonx", "application/json-patch+json", "json"):
        command = _command()
        body = json.dumps(command).encode()
        yield Case(f"content type {content_type}", body, command["id"], properties={"content_type": content_type})
    yield Case("compressed", b"\x1f\x8b\x08\0", properties={"content_encoding": "gzip"})


_BAD = [
    *_no_json(),
    *_no_envelope(),
    *_no_id(),
    *_wrong_attributes(),
    *_wrong_data(),
    *_too_large(),
    *_other_content_types(),
]


@dataclass(frozen=True, slots=True)
class Heard:
    """All that came of the bad cases, each sent twice, and the queues where no good command came through any more."""

    events: list[AbstractIncomingMessage]
    letters: list[AbstractIncomingMessage]
    jammed: frozenset[str]
    log: str


@pytest_asyncio.fixture(loop_scope="session", scope="module")
async def heard(one_wire: Wire) -> Heard:
    """All cases at once, spread over the queues: one after the other they would take ten times as long."""
    keys = {f"{number:02d}" for number in range(SLOTS)}
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger("worker").addHandler(handler)
    try:
        for case in [case for case in _BAD for _ in range(2)]:
            await one_wire.publish(case.body, _slot_of(case), **case.properties)
        through = await asyncio.gather(*(one_wire.settled(key) for key in sorted(keys)), return_exceptions=True)
    finally:
        logging.getLogger("worker").removeHandler(handler)
    jammed = frozenset(key for key, result in zip(sorted(keys), through, strict=True) if result is not None)
    return Heard(list(one_wire.events), list(one_wire.letters), jammed, written.getvalue())


@pytest.mark.parametrize("case", _BAD, ids=[case.name for case in _BAD])
async def test_what_is_no_command_is_set_aside_untouched_and_the_worker_goes_on(heard: Heard, case: Case) -> None:
    letters = [letter for letter in heard.letters if letter.body == case.body]
    assert len(letters) == 2, f"jammed: {sorted(heard.jammed)}, this one was in {_slot_of(case)}"
    details = {_checked(letter, case.reason, _slot_of(case)) for letter in letters}
    assert len(details) == 1
    assert SECRET not in details.pop()
    if case.command_id is not None:
        mine = [event for event in heard.events if document(event)["causationid"] == case.command_id]
        _check_events(mine, letters[0])
    assert _slot_of(case) not in heard.jammed


def test_where_no_id_can_be_read_no_event_comes_out(heard: Heard) -> None:
    announced = [event for event in map(document, heard.events) if event["type"] != CREATED]
    known = {case.command_id for case in _BAD if case.command_id}
    assert {event["causationid"] for event in announced} == known
    assert len(announced) == 2 * len(known)
    assert len({event["id"] for event in announced}) == len(known)


def test_no_log_tells_what_stood_in_a_bad_command(heard: Heard) -> None:
    assert "dead-lettered" in heard.log
    assert SECRET not in heard.log


def _slot_of(case: Case) -> str:
    return f"{_BAD.index(case) % SLOTS:02d}"


@pytest.mark.parametrize("exchange_of", ["", "heroes.events"])
async def test_the_letter_tells_where_the_message_came_from(wire: Wire, exchange_of: str) -> None:
    """Somebody may bind another exchange to the queue, or address it directly."""
    queue = await wire.channel.get_queue("heroes.commands.03")
    if exchange_of:
        await queue.bind(exchange_of, "some.key")
    routing_key = "some.key" if exchange_of else queue.name
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, routing_key, exchange=exchange_of)
    (letter,) = await wire.letters_with(body)
    assert letter.headers["x-original-exchange"] == exchange_of
    assert letter.headers["x-original-routing-key"] == routing_key


def _checked(letter: AbstractIncomingMessage, reason: str, routing_key: str = "00") -> str:
    """The letter carries all that §3 of the design asks for; its detail."""
    assert reason_of(letter) == reason
    detail = letter.headers["x-dead-letter-detail"]
    assert isinstance(detail, str)
    assert 0 < len(detail.encode()) <= 2048
    set_aside_at = datetime.fromisoformat(str(letter.headers["x-dead-lettered-at"]))
    assert abs(datetime.now(UTC) - set_aside_at) < timedelta(minutes=2)
    assert letter.headers["x-original-exchange"] == "heroes.commands"
    assert letter.headers["x-original-routing-key"] == routing_key
    assert letter.headers["x-worker"] == "bad-input-worker"
    assert letter.delivery_mode == 2
    return detail


def _check_events(messages: list[AbstractIncomingMessage], letter: AbstractIncomingMessage) -> None:
    """Twice the same event, and it tells what the letter tells."""
    assert len(messages) == 2
    first, second = messages
    event = document(first)
    assert second.body == first.body
    assert (first.message_id, second.message_id) == (event["id"], event["id"])
    assert UUID(event["id"]).version == 5
    assert event["type"] == first.type == first.routing_key == "hero.command_dead_lettered"
    assert event["data"]["reason"] == reason_of(letter)
    assert event["data"]["detail"] == letter.headers["x-dead-letter-detail"]
    assert set(event["data"]) <= {"command_type", "reason", "detail"}
    assert SECRET not in first.body.decode()


# --- what is odd, and accepted ----------------------------------------------------------------------------------------


def _odd() -> Iterator[tuple[str, bytes, str, dict[str, Any]]]:
    for content_type in (
        None,
        "application/json",
        "Application/JSON; charset=utf-8",
        "APPLICATION/CLOUDEVENTS+JSON",
        "application/cloudevents+json;charset=UTF-8",
        "application/json ;x=y",
    ):
        yield f"content type {content_type}", _bytes(), CREATED, {"content_type": content_type}
    for name in ("name", "secret_name"):
        for text in ("x", "x" * 200, "🦸" * 200, " ", "\u0001\u007f\u2028\ufeff\U0010ffff", "'; DROP TABLE hero; --"):
            yield f"{name} {text[:22]!r} ({len(text)})", _bytes(data={**_GOOD_DATA, name: text}), CREATED, {}
    for age in (0, 2**31 - 1, None):
        yield f"age {age}", _bytes(data={**_GOOD_DATA, "age": age}), CREATED, {}
    for version in (1, 2**31 - 1, None):
        data: dict[str, Any] = {"hero_id": NOBODY, "expected_version": version}
        yield f"delete, expected_version {version}", _bytes(type="hero.delete", data=data), REFUSED, {}
        data = {**data, "changes": {"age": None}}
        yield f"update, expected_version {version}", _bytes(type="hero.update", data=data), REFUSED, {}
    for moment in (
        "2026-01-01T00:00:00Z",
        "2026-01-01t00:00:00z",
        "2026-01-01T00:00:00.123456789+05:30",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999Z",
        "9999-12-31T23:59:59-23:59",
        "2024-02-29T23:59:59-00:00",
        ABSENT,
    ):
        yield f"time {moment if moment is not ABSENT else None}", _bytes(time=moment), CREATED, {}
    yield "correlationid of 255 bytes", _bytes(correlationid="x" * 255), CREATED, {}
    yield "correlationid of 254 bytes of two each", _bytes(correlationid="é" * 127), CREATED, {}
    yield "an integer of 400 digits in an ignored attribute", spliced(_command(extra="@@"), _HUGE), CREATED, {}
    yield (
        "100 nested arrays in an ignored attribute",
        spliced(_command(extra="@@"), b"[" * 100 + b"]" * 100),
        CREATED,
        {},
    )
    yield "U+0000 in an ignored attribute", _bytes(extra="\0"), CREATED, {}
    command = _command(padding="")
    full = json.dumps({**command, "padding": "x" * (LIMIT - len(json.dumps(command)))}).encode()
    yield "a body of exactly the limit", full, CREATED, {}
    doubled = b'{"name":"first","name":"last","secret_name":"x"}'
    yield "a doubled name", spliced(_command(data="@@"), doubled), CREATED, {}
    yield "a doubled wrong age", spliced(_command(data={**_GOOD_DATA, "age": "@@"}), b'"x","age":7'), CREATED, {}
    yield "a doubled type", spliced(_command(type="@@"), b'"hero.update","type":"hero.create"'), CREATED, {}
    yield "doubled data", spliced(_command(data="@@"), b'7,"data":' + json.dumps(_GOOD_DATA).encode()), CREATED, {}


def _bytes(**attributes: Any) -> bytes:
    return json.dumps(_command(**attributes)).encode()


_ODD = list(_odd())


@pytest.mark.parametrize(("body", "kind", "properties"), [case[1:] for case in _ODD], ids=[case[0] for case in _ODD])
async def test_what_is_odd_but_valid_is_handled(wire: Wire, body: bytes, kind: str, properties: dict[str, Any]) -> None:
    given = json.loads(body)
    await wire.publish(body, **properties)
    (event,) = await wire.events_of(given["id"])
    assert event["type"] == kind, event["data"]
    if kind == REFUSED:
        assert event["data"]["code"] == "hero_not_found"
        assert event["subject"] == str(NOBODY)
    else:
        assert event["data"]["hero"]["name"] == given["data"]["name"]
        assert event["data"]["hero"]["age"] == given["data"].get("age")
        assert event["correlationid"] == given.get("correlationid", given["id"])


async def test_of_doubled_members_the_last_one_wins_also_for_the_id(wire: Wire) -> None:
    first, last = str(uuid4()), str(uuid4())
    body = spliced(_command(id="@@"), f'"{first}","id":"{last}"'.encode())
    await wire.publish(body)
    (event,) = await wire.events_of(last)
    assert event["type"] == CREATED
    bad = spliced(_command(id="@@", data=None), f'"{last}","id":"{first}"'.encode())
    await wire.publish(bad)
    (event,) = await wire.events_of(first)
    assert event["type"] == "hero.command_dead_lettered"


# --- what the publisher put around it ---------------------------------------------------------------------------------


async def test_properties_that_would_harm_a_letter_move_to_headers_and_the_others_stay(
    stage: Stage, wire: Wire
) -> None:
    user = URL(stage.rabbitmq_url).user
    sent_at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    body = f"no command {uuid4()}".encode()
    await wire.publish(
        body,
        user_id=user,
        expiration=600,
        priority=7,
        headers={"CC": ["nowhere"], "BCC": ["nowhere either"], "mine": "kept"},
        content_type="Application/JSON",
        content_encoding="identity",
        correlation_id="c-1",
        reply_to="somewhere",
        message_id="m-1",
        timestamp=sent_at,
        type="a type",
        app_id="an app",
    )
    (letter,) = await wire.letters_with(body)
    await wire.settled("00")
    _checked(letter, "invalid_command")
    headers = letter.headers
    assert (headers["x-original-user-id"], headers["x-original-priority"]) == (user, 7)
    assert str(headers["x-original-expiration"]) == "600000"
    assert headers["x-original-cc"] == ["nowhere"]  # the broker itself takes BCC away before anybody sees it
    assert (letter.user_id, letter.expiration, letter.priority or None) == (None, None, None)
    assert not {"CC", "BCC", "x-dead-letter-truncated", "x-delivery-count"} & set(headers)
    assert headers["mine"] == "kept"
    assert (letter.content_type, letter.content_encoding) == ("Application/JSON", "identity")
    assert (letter.correlation_id, letter.reply_to, letter.message_id) == ("c-1", "somewhere", "m-1")
    assert (letter.timestamp, letter.type, letter.app_id) == (sent_at, "a type", "an app")


async def test_copies_sent_by_cc_are_set_aside_each_in_its_queue_and_nowhere_else(wire: Wire) -> None:
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, headers={"CC": ["05"], "BCC": ["06"]})
    letters = await wire.letters_with(body, 3)
    for key in ("00", "05", "06"):
        await wire.settled(key)
    assert len(await wire.letters_with(body, 3)) == 3
    assert {reason_of(letter) for letter in letters} == {"invalid_command"}


async def test_a_good_command_with_all_of_these_is_applied(stage: Stage, wire: Wire) -> None:
    given = _command()
    await wire.publish(
        json.dumps(given).encode(),
        user_id=URL(stage.rabbitmq_url).user,
        expiration=600,
        priority=7,
        headers={"CC": ["05"], "BCC": ["06"], **_odd_headers()},
    )
    for key in ("00", "05", "06"):
        await wire.settled(key)
    (event,) = await wire.events_of(given["id"])
    assert event["type"] == CREATED


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({f"large-{number:02d}": "x" * 10_000 for number in range(12)}, id="12 of 10 kB"),
        pytest.param({f"small-{number:05d}": "x" for number in range(6_000)}, id="6 000 small ones"),
        pytest.param({"one": "x" * 120_000}, id="one of 120 kB"),
        pytest.param({"nested": {f"n-{number:05d}": [number] for number in range(6_000)}}, id="one large table"),
    ],
)
async def test_a_letter_leaves_headers_out_that_do_not_fit_and_says_so(wire: Wire, headers: dict[str, Any]) -> None:
    assert 64 * 1024 < len(encode.field_table(headers)) <= 125_000
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, headers={**headers, "mine": "kept"}, priority=3)
    (letter,) = await wire.letters_with(body)
    await wire.settled("00")
    _checked(letter, "invalid_command")
    assert letter.headers["x-dead-letter-truncated"]
    kept = {name: value for name, value in letter.headers.items() if name in headers}
    assert kept == {name: headers[name] for name in kept}
    assert len(kept) < len(headers)
    assert len(encode.field_table(kept)) <= 64 * 1024
    assert (letter.headers["mine"], letter.headers["x-original-priority"]) == ("kept", 3)


async def test_headers_just_within_the_limit_are_all_kept(wire: Wire) -> None:
    headers = {f"large-{number:02d}": "x" * 10_000 for number in range(6)}
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, headers=headers)
    (letter,) = await wire.letters_with(body)
    assert "x-dead-letter-truncated" not in letter.headers
    assert {name: letter.headers[name] for name in headers} == headers


async def test_a_letter_keeps_headers_of_every_type_as_they_were(wire: Wire) -> None:
    body = f"no command {uuid4()}".encode()
    headers = _odd_headers()
    await wire.publish(body, headers=headers)
    (letter,) = await wire.letters_with(body)
    await wire.settled("00")
    _checked(letter, "invalid_command")
    assert "x-dead-letter-truncated" not in letter.headers
    assert {name: letter.headers[name] for name in headers} == headers


async def test_a_publisher_can_not_write_the_letters_own_headers(wire: Wire) -> None:
    forged = {
        "x-dead-letter-reason": "crashed_worker",
        "x-dead-letter-detail": "forged",
        "x-dead-lettered-at": "2001-01-01T00:00:00Z",
        "x-original-exchange": "forged",
        "x-original-routing-key": "forged",
        "x-worker": "forged",
        "x-attempts": 99,
        "x-dead-letter-truncated": True,
        "x-original-user-id": "forged",
    }
    body = f"no command {uuid4()}".encode()
    await wire.publish(body, headers=forged)
    (letter,) = await wire.letters_with(body)
    _checked(letter, "invalid_command")
    assert {name: letter.headers.get(name) for name in forged if letter.headers.get(name) == forged[name]} == {}


async def test_a_bad_command_of_any_time_is_announced(wire: Wire) -> None:
    """Its time becomes its event's; AMQP's own timestamps know neither the time before 1970 nor the year 10000."""
    times = (
        "1969-12-31T23:59:59Z",
        "1900-01-01T00:00:00Z",
        "0001-01-01T00:00:00Z",
        "0001-01-01T00:00:00+23:59",
        "9999-12-31T23:59:59Z",
        "9999-12-31T23:59:59-23:59",
    )
    bad = [_command(data=None, time=time) for time in times]
    for number, given in enumerate(bad):  # each in a queue of its own: one that gets stuck holds up nobody else here
        await wire.publish(json.dumps(given).encode(), f"{10 + number}")
    told = [document(message) for message in await wire.events_where(lambda one: one["type"] != CREATED, len(times))]
    assert {event["causationid"]: event["time"] for event in told} == {given["id"]: given["time"] for given in bad}
    for number, given in enumerate(bad):
        await wire.settled(f"{10 + number}")
        assert len(await wire.letters_with(json.dumps(given).encode())) == 1


def _odd_headers() -> dict[str, Any]:
    return {
        "table": {"a": {"b": {"c": [1, "two", None, {"d": []}]}}, "empty": {}},
        "array": [[[[]]], {}, True],
        "decimal": Decimal("-12.75"),
        "moment": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        "bytes": bytearray(b"\x00\xff"),
        "nothing": None,
        "yes": True,
        "large": 2**62,
        "negative": -(2**62),
        "float": 1.5,
        "text": "é\u0000\n",
        "": "no name",
    }
