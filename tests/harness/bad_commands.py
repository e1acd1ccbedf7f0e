"""Everything that can be wrong with a command: each a body that must be set aside."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

from tests.harness.cases import (
    ABSENT,
    GOOD_DATA,
    HUGE,
    LIMIT,
    NESTED_ARRAYS,
    NESTED_OBJECTS,
    SECRET,
    Case,
    attributes_of,
    case,
    unread,
    wrong_data,
    wrong_delete,
    wrong_update,
)


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
        yield unread(f"{name} in name", token, data={**GOOD_DATA, "name": "@@"})
        yield unread(f"{name} in an ignored attribute", token, extra="@@")
    yield unread("a surrogate as bytes", b'"\xed\xa0\x80"', data={**GOOD_DATA, "name": "@@"})
    for name, nested in {"arrays": NESTED_ARRAYS, "objects": NESTED_OBJECTS}.items():
        yield Case(f"10 000 nested {name}", nested)
        yield unread(f"10 000 nested {name} as data", nested, data="@@")
        yield unread(f"10 000 nested {name} in an ignored attribute", nested, extra="@@")
    yield Case("10 000 opening brackets", b"[" * 10_000)


def _no_envelope() -> Iterator[Case]:
    for body in (b"[]", b"[[1]]", b'"text"', b"3", b"null", b"true", b"{}", b'{"data":{}}'):
        yield Case(f"only {body.decode()}", body)
    for attribute in ("specversion", "source", "type", "data"):
        absent: dict[str, Any] = {attribute: ABSENT}
        null: dict[str, Any] = {attribute: None}
        yield case(f"no {attribute}", **absent)
        yield case(f"{attribute} null", **null)
    yield Case("no id", json.dumps({key: value for key, value in attributes_of().items() if key != "id"}).encode())
    yield case("specversion a number", specversion=1.0)
    yield case("specversion of another time", specversion="0.3")
    yield case("source empty", source="")
    yield case("source with a space", source="my source")
    yield case("data content type xml", datacontenttype="text/xml")
    yield case("data a list", data=[GOOD_DATA])
    yield case("data a string", data=json.dumps(GOOD_DATA))
    yield case("data in base64", data=ABSENT, data_base64="e30=")
    yield case("type a number", type=3)
    yield case("type a list", type=["hero.create"])
    yield case("type an object", type={"hero.create": 1})
    for kind in ("hero.explode", "HERO.CREATE", "hero.create ", "hero.create.v2", "x" * 100_000, "hero.create\0"):
        yield case(f"type {kind[:20]!r}", reason="unknown_type", type=kind)


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
        yield unread(f"id {name}", id=value)


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
        yield case(f"time {name}", time=value)
    for name in ("the 30th of February", "without a zone", "a number"):
        yield case(f"expirytime {name}", expirytime=moments[name])
    yield case("correlationid 256 bytes", correlationid="x" * 256)
    yield case("correlationid 256 bytes of two each", correlationid="é" * 128)
    yield case("correlationid empty", correlationid="")
    yield case("correlationid a number", correlationid=7)
    yield case("correlationid with U+0000", correlationid="a\0b")
    yield case("traceparent of 100 000 characters", traceparent="0" * 100_000)
    yield case("traceparent with U+0000", traceparent="a\0b")
    yield case("tracestate of 100 000 characters", tracestate="0" * 100_000)
    yield case("source of 100 000 characters", source="s" * 100_000)


def _bad_data() -> Iterator[Case]:
    for name in ("name", "secret_name"):
        yield wrong_data(f"{name} missing", **{name: ABSENT})
        yield wrong_data(f"{name} null", **{name: None})
        yield wrong_data(f"{name} empty", **{name: ""})
        yield wrong_data(f"{name} of 201", **{name: "x" * 201})
        yield wrong_data(f"{name} a number", **{name: 5})
        yield wrong_data(f"{name} a list", **{name: [SECRET]})
        yield wrong_data(f"{name} with U+0000", **{name: f"{SECRET}\0"})
    yield wrong_data("an extra field", power=SECRET)
    yield wrong_data("an id of one's own", id=1)
    yield wrong_data("many extra fields", **{f"extra_{number}": SECRET for number in range(5_000)})
    yield wrong_data("an extra field with a long name", **{"f" * 100_000: 1})
    ages: dict[str, Any] = {"-1": -1, "2**31": 2**31, "a string": "3", "true": True, "3.0": 3.0, "a list": [3]}
    for name, age in ages.items():
        yield wrong_data(f"age {name}", age=age)
    for token in (b"NaN", b"Infinity", b"-Infinity", b"3e0", b"1e400", HUGE, b"-" + HUGE):
        yield wrong_data(f"age {token[:9].decode()}", token, age="@@")
    ids: dict[str, Any] = {"0": 0, "-1": -1, "2**63": 2**63, "a string": "3", "true": True, "3.0": 3.0, "null": None}
    for name, hero_id in ids.items():
        yield wrong_update(f"update, hero_id {name}", hero_id=hero_id)
        yield wrong_delete(f"delete, hero_id {name}", hero_id=hero_id)
    yield wrong_update("update, hero_id 10**400", HUGE, hero_id="@@")
    yield wrong_update("update, hero_id missing", hero_id=ABSENT)
    versions: dict[str, Any] = {"0": 0, "2**31": 2**31, "a string": "1", "true": True, "1.0": 1.0}
    for name, version in versions.items():
        yield wrong_update(f"update, expected_version {name}", expected_version=version)
        yield wrong_delete(f"delete, expected_version {name}", expected_version=version)
    yield wrong_update("changes missing", changes=ABSENT)
    yield wrong_update("changes null", changes=None)
    yield wrong_update("changes empty", changes={})
    yield wrong_update("changes a list", changes=["name"])
    yield wrong_update("change of name to null", changes={"name": None})
    yield wrong_update("change of secret_name to null", changes={"secret_name": None})
    yield wrong_update("change of name to nothing", changes={"name": ""})
    yield wrong_update("change of name to 201", changes={"name": "x" * 201})
    yield wrong_update("change with U+0000", changes={"name": f"{SECRET}\0"})
    yield wrong_update("change of age to a string", changes={"age": "3"})
    yield wrong_update("change of the id", changes={"name": "x", "id": 7})
    yield wrong_update("change of the version", changes={"version": 7})
    yield wrong_update("name beside the changes", name=SECRET)
    yield wrong_delete("delete with changes", changes={"name": SECRET})


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
    *_bad_data(),
    *_too_large(),
    *_other_content_types(),
]
