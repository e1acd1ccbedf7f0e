"""Whatever arrives becomes a command or a reason; decoding never raises and never tells what stood in a field."""

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.envelope import Command
from contracts.heroes import COMMANDS
from tests.harness.commands import create, delete, update
from worker.messaging.decode import Decoder, Undecodable
from worker.messaging.publisher import as_message
from worker.outcomes import Reason

MAX_BODY_BYTES = 64 * 1024
DETAIL_BYTES = 2000
MARKER = "Zx9-marker-Qk7"
ID = "3f2b8c1e-9d4a-4c6b-8e7f-0a1b2c3d4e5f"
DECODER = Decoder(COMMANDS, MAX_BODY_BYTES)

hard = settings(deadline=None, max_examples=120, suppress_health_check=[HealthCheck.too_slow])


def _nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


HUGE = st.sampled_from([2**31, 2**63 - 1, 2**63, 2**64, 10**400, -1, "<huge>", -(2**63) - 1, 1e308, float("nan")])
TEXTS = st.text() | st.sampled_from(["\x00", "\ud800", "\udfff\ud800", "é" * 200, "1", "", "a\nb", "hero.create"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | HUGE,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
) | st.builds(_nested, st.sampled_from([50, 199, 200, 201, 300]))
NAMES = st.sampled_from(["name", "secret_name", "age", "hero_id", "changes", "expected_version", "id", "data"]) | TEXTS


def _document(kind: str = "hero.create", **more: Any) -> dict[str, Any]:
    samples: dict[str, dict[str, Any]] = {
        "hero.create": {"name": MARKER, "secret_name": MARKER, "age": 7},
        "hero.update": {"hero_id": 5, "changes": {"name": MARKER, "secret_name": MARKER}, "expected_version": 2},
        "hero.delete": {"hero_id": 5, "expected_version": 2},
    }
    return {"specversion": "1.0", "id": ID, "source": "/tests", "type": kind, "data": samples[kind], **more}


def _written(document: object) -> bytes:
    """With NaN, lone surrogates and the largest integers as a careless publisher would write them."""
    text = json.dumps(document, ensure_ascii=False).replace('"<huge>"', "9" * 5000)
    return text.encode("utf-8", "surrogatepass")


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def refused(body: bytes | dict[str, Any], content_type: str | None = None) -> Undecodable:
    content = DECODER.decode(body if isinstance(body, bytes) else _written(body), content_type)
    assert isinstance(content, Undecodable)
    assert content.letter.reason in {Reason.INVALID_COMMAND, Reason.UNKNOWN_TYPE}
    assert 0 < len(content.letter.detail.encode()) <= DETAIL_BYTES
    return content


def taken(body: bytes | dict[str, Any], content_type: str | None = None) -> Command:
    content = DECODER.decode(body if isinstance(body, bytes) else _written(body), content_type)
    assert isinstance(content, Command), content
    return content


def sound(body: bytes, content_type: str | None) -> None:
    """Everything that holds for any message at all."""
    content = DECODER.decode(body, content_type)
    if isinstance(content, Command):
        assert DECODER.decode(content.to_json(), content_type) == content
        return
    assert isinstance(content, Undecodable)
    refused(body, content_type)
    again = DECODER.decode(body, content_type)
    assert isinstance(again, Undecodable)
    first, second = content.outcome(), again.outcome()
    assert [event.body for event in first.events] == [event.body for event in second.events]
    assert bool(first.events) == (content.traits.command_id is not None)
    for event in first.events:
        as_message(event).properties.marshal()  # what can't be written would be published again for ever


@hard
@given(st.binary(max_size=300), st.none() | st.text(max_size=60) | st.just("application/json"))
def test_any_bytes_of_any_content_type_give_a_command_or_a_reason(body: bytes, content_type: str | None) -> None:
    sound(body, content_type)


@hard
@given(VALUES)
def test_any_json_gives_a_command_or_a_reason(value: Any) -> None:
    sound(_written(value), "application/json")


@hard
@given(st.sampled_from(["hero.create", "hero.update", "hero.delete"]), st.data())
def test_a_mutilated_command_gives_a_command_or_a_reason(kind: str, data: st.DataObject) -> None:
    """A valid envelope in which members are dropped, replaced and inserted, in the envelope, in data and in changes."""
    document = _document(kind, correlationid="c", traceparent="t", time="2026-01-01T00:00:00Z")
    for _ in range(data.draw(st.integers(1, 4))):
        inside = data.draw(st.sampled_from(_objects(document)))
        name = data.draw(st.sampled_from(sorted(inside)) | NAMES) if inside else data.draw(NAMES)
        if name in inside and data.draw(st.booleans()):
            del inside[name]
        else:
            inside[name] = deepcopy(data.draw(VALUES))
    sound(_written(document), data.draw(st.sampled_from([None, "application/json", "APPLICATION/JSON ; a"])))


def _objects(document: dict[str, Any]) -> list[dict[str, Any]]:
    found = [document]
    for value in document.values():
        if isinstance(value, dict):
            found += _objects(value)
    return found


@hard
@given(st.sampled_from(["hero.create", "hero.update", "hero.delete"]), st.data())
def test_a_reason_never_tells_what_stood_in_a_field(kind: str, data: st.DataObject) -> None:
    """The marker stands in every text and in whatever was put in the place of a number, a list or an object."""
    planted = st.sampled_from([MARKER, [MARKER], {"value": MARKER}, f"{MARKER}\x00", MARKER * 60, MARKER * 500])
    document = _document(kind)
    for _ in range(data.draw(st.integers(1, 4))):
        inside = data.draw(st.sampled_from(_objects(document)))
        name = data.draw(st.sampled_from([*sorted(inside), "name", "secret_name", "extra", "time", "correlationid"]))
        inside[name] = deepcopy(data.draw(planted))
    body = _written(document)
    cut = data.draw(st.integers(0, len(body)))
    for damaged in (body, body[:cut], body[:cut] + b"\xff" + body[cut:], body[:cut] + b"," + body[cut:]):
        content = DECODER.decode(damaged, None)
        if isinstance(content, Undecodable):
            assert MARKER not in content.letter.detail


@pytest.mark.parametrize(
    "command",
    [
        create(name="n", secret_name="s", age=None),
        create(name="Žluťoučký 🐎", secret_name="'; DROP TABLE hero; --", age=2**31 - 1, correlationid="ö" * 127),
        create(tracestate="a=b", traceparent="00-1-2-01", expirytime="2026-01-01T00:00:00.123456789+02:00"),
        update(2**63 - 1, {"age": None}, expected_version=2**31 - 1),
        update(1, {"name": "n", "secret_name": "s", "age": 0}),
        delete(1),
        delete(7, expected_version=1, id=ID),
    ],
)
@pytest.mark.parametrize("content_type", [None, "application/json", "Application/CloudEvents+JSON; charset=utf-8"])
def test_a_valid_command_comes_out_as_it_was_sent(command: Command, content_type: str | None) -> None:
    decoded = taken(command.to_json(), content_type)
    assert decoded == command
    assert type(decoded) is type(command)
    assert decoded.to_json() == command.to_json()


def test_an_absent_change_stays_absent_and_a_null_age_stays_null() -> None:
    decoded = taken(_document("hero.update", data={"hero_id": 1, "changes": {"age": None}}))
    assert decoded.data.changes == {"age": None}


WRONG: dict[str, Callable[[], Any]] = {
    "no data": lambda: _without(_document(), "data"),
    "no id": lambda: _without(_document(), "id"),
    "no source": lambda: _without(_document(), "source"),
    "no specversion": lambda: _without(_document(), "specversion"),
    "another specversion": lambda: _document(specversion="0.3"),
    "an upper-case id": lambda: _document(id=ID.upper()),
    "an id in braces": lambda: _document(id=f"{{{ID}}}"),
    "an id with a line feed after it": lambda: _document(id=f"{ID}\n"),
    "a source with a space": lambda: _document(source="/a b"),
    "an empty source": lambda: _document(source=""),
    "another datacontenttype": lambda: _document(datacontenttype="text/xml"),
    "a time without a zone": lambda: _document(time="2026-01-01T00:00:00"),
    "a day that never was": lambda: _document(time="2026-02-30T00:00:00Z"),
    "an expiry that is no time": lambda: _document(expirytime="soon"),
    "a correlation id of 256 bytes": lambda: _document(correlationid="ö" * 128),
    "a correlation id with NUL": lambda: _document(correlationid="a\x00"),
    "a trace parent with NUL": lambda: _document(traceparent="a\x00"),
    "a text for a number": lambda: _document("hero.delete", data={"hero_id": "3"}),
    "true for a number": lambda: _document("hero.delete", data={"hero_id": True}),
    "a float for a number": lambda: _document("hero.delete", data={"hero_id": 3.0}),
    "an id of zero": lambda: _document("hero.delete", data={"hero_id": 0}),
    "an id beyond 63 bits": lambda: _document("hero.delete", data={"hero_id": 2**63}),
    "a version beyond 31 bits": lambda: _document("hero.delete", data={"hero_id": 1, "expected_version": 2**31}),
    "an age below zero": lambda: _document(data={"name": "n", "secret_name": "s", "age": -1}),
    "an age beyond 31 bits": lambda: _document(data={"name": "n", "secret_name": "s", "age": 2**31}),
    "an age that is no number": lambda: _document(data={"name": "n", "secret_name": "s", "age": float("nan")}),
    "a number for a name": lambda: _document(data={"name": 1, "secret_name": "s"}),
    "an empty name": lambda: _document(data={"name": "", "secret_name": "s"}),
    "a name of 201 characters": lambda: _document(data={"name": "n" * 201, "secret_name": "s"}),
    "a name with NUL": lambda: _document(data={"name": "a\x00b", "secret_name": "s"}),
    "a lone surrogate": lambda: (
        b'{"specversion":"1.0","id":"%s","source":"/t","type":"hero.create",'
        b'"data":{"name":"\\ud800","secret_name":"s"}}' % ID.encode()
    ),
    "an unknown field": lambda: _document(data={"name": "n", "secret_name": "s", "colour": "red"}),
    "an unknown change": lambda: _document("hero.update", data={"hero_id": 1, "changes": {"colour": "red"}}),
    "no change at all": lambda: _document("hero.update", data={"hero_id": 1, "changes": {}}),
    "a null name": lambda: _document("hero.update", data={"hero_id": 1, "changes": {"name": None}}),
    "a null secret name": lambda: _document("hero.update", data={"hero_id": 1, "changes": {"secret_name": None}}),
    "no object": lambda: [_document()],
    "no type": lambda: _without(_document(), "type"),
    "a number for a type": lambda: _document(type=7),
    "nothing": lambda: b"",
    "a byte order mark": lambda: b"\xef\xbb\xbf" + _written(_document()),
    "two documents": lambda: _written(_document()) * 2,
    "another encoding": lambda: json.dumps(_document()).encode("utf-16"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_an_invalid_command(case: str) -> None:
    wrong = WRONG[case]()
    body = wrong if isinstance(wrong, bytes) else _written(wrong)
    assert refused(body).letter.reason == Reason.INVALID_COMMAND
    sound(body, None)


@pytest.mark.parametrize("kind", ["hero.create.v2", "order.create", "", "HERO.CREATE"])
def test_a_type_that_nobody_handles_is_told_apart(kind: str) -> None:
    content = refused(_document() | {"type": kind})
    assert content.letter.reason == Reason.UNKNOWN_TYPE
    assert content.traits.command_id == ID


@pytest.mark.parametrize("content_type", ["text/plain", "", ";", "application/cloudevents", "application/json2", "ÿ"])
def test_a_wrong_content_type_is_an_invalid_command_whatever_the_body(content_type: str) -> None:
    assert refused(_document(), content_type).letter.reason == Reason.INVALID_COMMAND


def test_a_wrong_content_type_counts_for_more_than_an_unknown_type() -> None:
    """A text that happens to look like somebody's command is not thereby a command."""
    assert refused(_document() | {"type": "order.create"}, "text/plain").letter.reason == Reason.INVALID_COMMAND


def test_a_body_above_the_limit_is_an_invalid_command_and_its_id_is_still_read() -> None:
    body = _written(_document()).ljust(MAX_BODY_BYTES)
    assert taken(body).id == ID
    assert refused(body + b" ").traits.command_id == ID


def test_a_body_far_above_the_limit_is_not_read_at_all() -> None:
    """Reading goes on the event loop."""
    content = refused(_written(_document()).ljust(4 * MAX_BODY_BYTES + 1))
    assert content.traits.command_id is None
    assert content.outcome().events == ()


def test_of_duplicate_member_names_the_last_wins() -> None:
    body = (
        b'{"specversion":"1.0","id":"00000000-0000-4000-8000-000000000000","id":"%s","source":"/t","type":"x","type":'
        b'"hero.delete","data":{"hero_id":0},"data":{"hero_id":1,"hero_id":2}}' % ID.encode()
    )
    command = taken(body)
    assert (command.id, command.data.hero_id) == (ID, 2)


def test_unknown_attributes_of_the_envelope_are_ignored() -> None:
    command = taken(_document(sequence="1", partitionkey=7, dataschema=None, nested={"a": [float("nan")]}))
    assert "sequence" not in command.model_dump()


@pytest.mark.parametrize("time", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_event_about_a_wrong_command_of_any_age_can_be_published(time: str) -> None:
    """AMQP's timestamp knows no moment before 1970."""
    (event,) = refused(_document(specversion="0", time=time)).outcome().events
    as_message(event).properties.marshal()


def test_a_long_list_of_mistakes_is_cut() -> None:
    data = {f"{number:03d}{'ü' * 300}": number for number in range(50)}
    detail = refused(_document(data=data)).letter.detail
    assert len(detail.encode()) <= DETAIL_BYTES


def test_what_can_be_read_of_a_wrong_command_is_kept_each_part_for_itself() -> None:
    traits = refused(_document(specversion="0", correlationid="c", time="no time")).traits
    assert (traits.command_id, traits.correlation_id, traits.time, traits.type) == (ID, "c", None, "hero.create")
