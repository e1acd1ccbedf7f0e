"""Everything that can be wrong with a command: bodies that must be set aside, and what stands on their letters."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage

from tests.harness.commands import raw_create, spliced
from tests.harness.wire import reason_of
from tests.harness.workers import WORKER_ID

SECRET = "kept-to-myself"

LIMIT = 1_048_576

NOBODY = 2**63 - 1
"""The largest id; no hero has it."""


@dataclass(frozen=True, slots=True)
class Case:
    """A body, and the id that can be read of it, if any."""

    name: str
    body: bytes
    command_id: str | None = None
    reason: str = "invalid_command"
    properties: dict[str, Any] = field(default_factory=dict)


ABSENT = object()

GOOD_DATA = {"name": SECRET, "secret_name": SECRET}

_NESTED_ARRAYS = b"[" * 10_000 + b"]" * 10_000

_NESTED_OBJECTS = b'{"a":' * 10_000 + b"1" + b"}" * 10_000

HUGE = b"1" + b"0" * 400


def attributes_of(**attributes: Any) -> dict[str, Any]:
    made = raw_create(**{"data": GOOD_DATA, **attributes})
    return {name: value for name, value in made.items() if value is not ABSENT}


def _case(name: str, /, *, reason: str = "invalid_command", token: bytes | None = None, **attributes: Any) -> Case:
    """A command that is wrong in these attributes; its id can still be read."""
    command = attributes_of(**attributes)
    body = json.dumps(command).encode() if token is None else spliced(command, token)
    return Case(name, body, command["id"], reason)


def _unread(name: str, token: bytes | None = None, /, **attributes: Any) -> Case:
    """The same where no id can be read."""
    command = attributes_of(**attributes)
    return Case(name, json.dumps(command).encode() if token is None else spliced(command, token))


def _data(name: str, token: bytes | None = None, /, **fields: Any) -> Case:
    """A create that is wrong in these fields of its data."""
    kept = {key: value for key, value in {**GOOD_DATA, **fields}.items() if value is not ABSENT}
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
    yield Case("cut off", json.dumps(attributes_of()).encode()[:-1])
    yield Case("something after it", json.dumps(attributes_of()).encode() + b"{}")
    yield Case("single quotes", json.dumps(attributes_of()).replace('"', "'").encode())
    yield Case("not utf-8", b"\xff\xfe\x00\x80")
    yield Case("not utf-8 inside", json.dumps(attributes_of()).encode().replace(b"kept", b"k\xe9pt", 1))
    yield Case("utf-16", json.dumps(attributes_of()).encode("utf-16"))
    yield Case("byte order mark", b"\xef\xbb\xbf" + json.dumps(attributes_of()).encode())
    yield Case("zeros", b"\0" * 100)
    yield Case("line break in a string", json.dumps(attributes_of()).replace("kept", "ke\npt").encode())
    for name, token in {"half a surrogate pair": rb'"\ud83d"', "the other half": rb'"x\ude00"'}.items():
        yield _unread(f"{name} in name", token, data={**GOOD_DATA, "name": "@@"})
        yield _unread(f"{name} in an ignored attribute", token, extra="@@")
    yield _unread("a surrogate as bytes", b'"\xed\xa0\x80"', data={**GOOD_DATA, "name": "@@"})
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
    yield Case("no id", json.dumps({key: value for key, value in attributes_of().items() if key != "id"}).encode())
    yield _case("specversion a number", specversion=1.0)
    yield _case("specversion of another time", specversion="0.3")
    yield _case("source empty", source="")
    yield _case("source with a space", source="my source")
    yield _case("data content type xml", datacontenttype="text/xml")
    yield _case("data a list", data=[GOOD_DATA])
    yield _case("data a string", data=json.dumps(GOOD_DATA))
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
    for token in (b"NaN", b"Infinity", b"-Infinity", b"3e0", b"1e400", HUGE, b"-" + HUGE):
        yield _data(f"age {token[:9].decode()}", token, age="@@")
    ids: dict[str, Any] = {"0": 0, "-1": -1, "2**63": 2**63, "a string": "3", "true": True, "3.0": 3.0, "null": None}
    for name, hero_id in ids.items():
        yield _update(f"update, hero_id {name}", hero_id=hero_id)
        yield _delete(f"delete, hero_id {name}", hero_id=hero_id)
    yield _update("update, hero_id 10**400", HUGE, hero_id="@@")
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
        command = attributes_of(padding="")
        body = json.dumps({**command, "padding": "x" * (size - len(json.dumps(command)))}).encode()
        yield Case(f"body {name}", body, command["id"])
    yield Case("2 MiB of blanks", b" " * 2 * LIMIT)
    yield Case("2 MiB of brackets", b"[" * 2 * LIMIT)


def _other_content_types() -> Iterator[Case]:
    for content_type in ("text/plain", "application/xml", "application/jsonx", "application/json-patch+json", "json"):
        command = attributes_of()
        body = json.dumps(command).encode()
        yield Case(f"content type {content_type}", body, command["id"], properties={"content_type": content_type})
    yield Case("compressed", b"\x1f\x8b\x08\0", properties={"content_encoding": "gzip"})


BAD = [
    *_no_json(),
    *_no_envelope(),
    *_no_id(),
    *_wrong_attributes(),
    *_wrong_data(),
    *_too_large(),
    *_other_content_types(),
]


def checked(letter: AbstractIncomingMessage, reason: str, routing_key: str = "00") -> str:
    """The letter carries all that §3 of the design asks for; its detail."""
    assert reason_of(letter) == reason
    detail = letter.headers["x-dead-letter-detail"]
    assert isinstance(detail, str)
    assert 0 < len(detail.encode()) <= 2048
    set_aside_at = datetime.fromisoformat(str(letter.headers["x-dead-lettered-at"]))
    assert abs(datetime.now(UTC) - set_aside_at) < timedelta(minutes=2)
    assert letter.headers["x-original-exchange"] == "heroes.commands"
    assert letter.headers["x-original-routing-key"] == routing_key
    assert letter.headers["x-worker"] == WORKER_ID
    assert letter.delivery_mode == 2
    return detail
