"""What is odd but valid is handled like any other command."""

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest

from tests.harness.cases import ABSENT, CREATED, GOOD_DATA, HUGE, LIMIT, NOBODY, REFUSED, attributes_of
from tests.harness.commands import spliced
from tests.harness.wire import Wire

pytestmark = pytest.mark.usefixtures("worker")


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
            yield f"{name} {text[:22]!r} ({len(text)})", _bytes(data={**GOOD_DATA, name: text}), CREATED, {}
    for age in (0, 2**31 - 1, None):
        yield f"age {age}", _bytes(data={**GOOD_DATA, "age": age}), CREATED, {}
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
    yield "an integer of 400 digits in an ignored attribute", spliced(attributes_of(extra="@@"), HUGE), CREATED, {}
    yield (
        "100 nested arrays in an ignored attribute",
        spliced(attributes_of(extra="@@"), b"[" * 100 + b"]" * 100),
        CREATED,
        {},
    )
    yield "U+0000 in an ignored attribute", _bytes(extra="\0"), CREATED, {}
    command = attributes_of(padding="")
    full = json.dumps({**command, "padding": "x" * (LIMIT - len(json.dumps(command)))}).encode()
    yield "a body of exactly the limit", full, CREATED, {}
    doubled = b'{"name":"first","name":"last","secret_name":"x"}'
    yield "a doubled name", spliced(attributes_of(data="@@"), doubled), CREATED, {}
    yield "a doubled wrong age", spliced(attributes_of(data={**GOOD_DATA, "age": "@@"}), b'"x","age":7'), CREATED, {}
    yield "a doubled type", spliced(attributes_of(type="@@"), b'"hero.update","type":"hero.create"'), CREATED, {}
    yield "doubled data", spliced(attributes_of(data="@@"), b'7,"data":' + json.dumps(GOOD_DATA).encode()), CREATED, {}


def _bytes(**attributes: Any) -> bytes:
    return json.dumps(attributes_of(**attributes)).encode()


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
    body = spliced(attributes_of(id="@@"), f'"{first}","id":"{last}"'.encode())
    await wire.publish(body)
    (event,) = await wire.events_of(last)
    assert event["type"] == CREATED
    bad = spliced(attributes_of(id="@@", data=None), f'"{last}","id":"{first}"'.encode())
    await wire.publish(bad)
    (event,) = await wire.events_of(first)
    assert event["type"] == "hero.command_dead_lettered"
