"""A valid command comes out as it was sent, and of any other it is told what is wrong with it."""

import builtins
import json
from collections.abc import Callable
from typing import Any, Literal

import pytest
from pydantic import field_validator

from contracts.envelope import Command
from tests.harness.commands import ID, create, delete, update
from tests.harness.decoded import DETAIL_BYTES, MAX_BODY_BYTES, refused, sample, sound, taken, written
from worker.messaging.decode import Decoder, Undecodable
from worker.messaging.publisher import as_message
from worker.outcomes import Reason


def _without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


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
    decoded = taken(sample("hero.update", data={"hero_id": 1, "changes": {"age": None}}))
    assert decoded.data.changes == {"age": None}


WRONG: dict[str, Callable[[], Any]] = {
    "no data": lambda: _without(sample(), "data"),
    "no id": lambda: _without(sample(), "id"),
    "no source": lambda: _without(sample(), "source"),
    "no specversion": lambda: _without(sample(), "specversion"),
    "another specversion": lambda: sample(specversion="0.3"),
    "an upper-case id": lambda: sample(id=ID.upper()),
    "an id in braces": lambda: sample(id=f"{{{ID}}}"),
    "an id with a line feed after it": lambda: sample(id=f"{ID}\n"),
    "a source with a space": lambda: sample(source="/a b"),
    "an empty source": lambda: sample(source=""),
    "another datacontenttype": lambda: sample(datacontenttype="text/xml"),
    "a time without a zone": lambda: sample(time="2026-01-01T00:00:00"),
    "a day that never was": lambda: sample(time="2026-02-30T00:00:00Z"),
    "an expiry that is no time": lambda: sample(expirytime="soon"),
    "a correlation id of 256 bytes": lambda: sample(correlationid="ö" * 128),
    "a correlation id with NUL": lambda: sample(correlationid="a\x00"),
    "a trace parent with NUL": lambda: sample(traceparent="a\x00"),
    "a text for a number": lambda: sample("hero.delete", data={"hero_id": "3"}),
    "true for a number": lambda: sample("hero.delete", data={"hero_id": True}),
    "a float for a number": lambda: sample("hero.delete", data={"hero_id": 3.0}),
    "an id of zero": lambda: sample("hero.delete", data={"hero_id": 0}),
    "an id beyond 63 bits": lambda: sample("hero.delete", data={"hero_id": 2**63}),
    "a version beyond 31 bits": lambda: sample("hero.delete", data={"hero_id": 1, "expected_version": 2**31}),
    "an age below zero": lambda: sample(data={"name": "n", "secret_name": "s", "age": -1}),
    "an age beyond 31 bits": lambda: sample(data={"name": "n", "secret_name": "s", "age": 2**31}),
    "an age that is no number": lambda: sample(data={"name": "n", "secret_name": "s", "age": float("nan")}),
    "a number for a name": lambda: sample(data={"name": 1, "secret_name": "s"}),
    "an empty name": lambda: sample(data={"name": "", "secret_name": "s"}),
    "a name of 201 characters": lambda: sample(data={"name": "n" * 201, "secret_name": "s"}),
    "a name with NUL": lambda: sample(data={"name": "a\x00b", "secret_name": "s"}),
    "a lone surrogate": lambda: (
        b'{"specversion":"1.0","id":"%s","source":"/t","type":"hero.create",'
        b'"data":{"name":"\\ud800","secret_name":"s"}}' % ID.encode()
    ),
    "an unknown field": lambda: sample(data={"name": "n", "secret_name": "s", "colour": "red"}),
    "an unknown change": lambda: sample("hero.update", data={"hero_id": 1, "changes": {"colour": "red"}}),
    "no change at all": lambda: sample("hero.update", data={"hero_id": 1, "changes": {}}),
    "a null name": lambda: sample("hero.update", data={"hero_id": 1, "changes": {"name": None}}),
    "a null secret name": lambda: sample("hero.update", data={"hero_id": 1, "changes": {"secret_name": None}}),
    "no object": lambda: [sample()],
    "no type": lambda: _without(sample(), "type"),
    "a number for a type": lambda: sample(type=7),
    "nothing": lambda: b"",
    "a byte order mark": lambda: b"\xef\xbb\xbf" + written(sample()),
    "two documents": lambda: written(sample()) * 2,
    "another encoding": lambda: json.dumps(sample()).encode("utf-16"),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_is_an_invalid_command(case: str) -> None:
    wrong = WRONG[case]()
    body = wrong if isinstance(wrong, bytes) else written(wrong)
    assert refused(body).letter.reason == Reason.INVALID_COMMAND
    sound(body, None)


@pytest.mark.parametrize("kind", ["hero.create.v2", "order.create", "", "HERO.CREATE"])
def test_a_type_that_nobody_handles_is_told_apart(kind: str) -> None:
    content = refused(sample() | {"type": kind})
    assert content.letter.reason == Reason.UNKNOWN_TYPE
    assert content.traits.command_id == ID


@pytest.mark.parametrize("content_type", ["text/plain", "", ";", "application/cloudevents", "application/json2", "ÿ"])
def test_a_wrong_content_type_is_an_invalid_command_whatever_the_body(content_type: str) -> None:
    assert refused(sample(), content_type).letter.reason == Reason.INVALID_COMMAND


def test_a_wrong_content_type_counts_for_more_than_an_unknown_type() -> None:
    """A text that happens to look like somebody's command is not thereby a command."""
    assert refused(sample() | {"type": "order.create"}, "text/plain").letter.reason == Reason.INVALID_COMMAND


def test_a_body_above_the_limit_is_an_invalid_command_and_its_id_is_still_read() -> None:
    body = written(sample()).ljust(MAX_BODY_BYTES)
    assert taken(body).id == ID
    assert refused(body + b" ").traits.command_id == ID


def test_a_body_far_above_the_limit_is_not_read_at_all() -> None:
    """Reading goes on the event loop."""
    content = refused(written(sample()).ljust(4 * MAX_BODY_BYTES + 1))
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
    command = taken(sample(sequence="1", partitionkey=7, dataschema=None, nested={"a": [float("nan")]}))
    assert "sequence" not in command.model_dump()


@pytest.mark.parametrize("time", ["1969-12-31T23:59:59Z", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_an_event_about_a_wrong_command_of_any_age_can_be_published(time: str) -> None:
    """AMQP's timestamp knows no moment before 1970."""
    (event,) = refused(sample(specversion="0", time=time)).outcome().events
    as_message(event).properties.marshal()


@pytest.mark.parametrize("error", [KeyError, SystemExit])
def test_a_bug_in_the_contract_itself_is_the_workers_to_mend_and_its_log_says_where(
    error: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    """An entity of somebody else's, whose validator raises what no validator should."""
    document = {"specversion": "1.0", "id": ID, "source": "/tests", "type": "odd", "data": {"raises": error.__name__}}
    body = json.dumps(document).encode()
    found = Decoder((Odd,), MAX_BODY_BYTES).decode(body, None)
    assert isinstance(found, Undecodable)
    assert (found.letter.reason, found.traits.command_id) == (Reason.HANDLER_FAILED, ID)
    assert found.letter.detail == f"the contract's own code raised {error.__name__}"
    assert f"the contract's own code failed: {error.__name__} at " in caplog.text
    assert "test_decode.py" in caplog.text
    assert "what stood in a field" not in caplog.text


class Odd(Command):
    """Its data can't be looked at."""

    type: Literal["odd"]
    data: dict[str, Any]

    @field_validator("data")
    @classmethod
    def _look(cls, data: dict[str, Any]) -> dict[str, Any]:
        raise getattr(builtins, data["raises"])("what stood in a field")


def test_a_long_list_of_mistakes_is_cut() -> None:
    data = {f"{number:03d}{'ü' * 300}": number for number in range(50)}
    detail = refused(sample(data=data)).letter.detail
    assert len(detail.encode()) <= DETAIL_BYTES


def test_what_can_be_read_of_a_wrong_command_is_kept_each_part_for_itself() -> None:
    traits = refused(sample(specversion="0", correlationid="c", time="no time")).traits
    assert (traits.command_id, traits.correlation_id, traits.time, traits.type) == (ID, "c", None, "hero.create")
