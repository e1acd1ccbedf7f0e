"""What a publisher put around a command harms neither it nor its letter, and is kept where that is possible."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import pytest
from pamqp import encode
from yarl import URL

from tests.harness.cases import CREATED, attributes_of
from tests.harness.letters import checked
from tests.harness.stage import Stage
from tests.harness.wire import Wire, document, reason_of

pytestmark = pytest.mark.usefixtures("worker")


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
    checked(letter, "invalid_command")
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
    given = attributes_of()
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
    checked(letter, "invalid_command")
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
    checked(letter, "invalid_command")
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
    checked(letter, "invalid_command")
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
    bad = [attributes_of(data=None, time=time) for time in times]
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
