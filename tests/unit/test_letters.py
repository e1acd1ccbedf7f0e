"""Whatever stands on a dead letter, an operator can read it, name it and send it again."""

from datetime import UTC, datetime
from typing import Any

import pytest
from aio_pika.abc import AbstractIncomingMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.harness.arrived import arrived, on_the_wire
from tests.harness.commands import create
from worker.messaging.letter import DeadLetter, LetterReader
from worker.messaging.resend import original

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.binary(max_size=10) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
NAMES = (
    *("x-death", "x-dead-letter-reason", "x-dead-letter-detail", "x-dead-lettered-at", "x-original-exchange"),
    *("x-original-routing-key", "x-original-expiration", "x-original-priority", "x-mine", "CC"),
)


def read(message: AbstractIncomingMessage) -> DeadLetter:
    return LetterReader(1_000_000).read(message)


@settings(max_examples=200, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=50), st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=5))
def test_any_letter_can_be_read_and_sent_again(body: bytes, headers: dict[str, Any]) -> None:
    letter = read(arrived(body, headers=headers))
    assert letter.id.isprintable()
    assert letter.reason
    assert letter.set_aside_at is None or letter.set_aside_at.tzinfo
    assert letter.is_called(letter.id)
    again = original(letter)
    assert again.body == body
    on_the_wire(again)


def test_what_names_no_id_is_called_by_its_body() -> None:
    letter = read(arrived(b"no JSON", message_id=None))
    assert letter.id == "sha256:" + letter.body_sha256[:16]
    assert letter.is_called(f"sha256:{letter.body_sha256}")
    assert not letter.is_called("sha256:")
    assert read(arrived(b"no JSON", message_id="own")).id == "own"
    command = create()
    letter = read(arrived(command.to_json(), message_id="own"))
    assert (letter.id, letter.type) == (command.id, "hero.create")
    assert letter.is_called("own")


def test_the_broker_tells_why_and_when_and_where_from_in_its_newest_entry() -> None:
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    newest = {
        "reason": "delivery_limit",
        "queue": "heroes.commands.03",
        "exchange": "heroes.commands",
        "routing-keys": ["03", "x"],
        "time": moment,
    }
    letter = read(arrived(headers={"x-death": [newest, {"reason": "expired"}]}))
    told = (letter.reason, letter.set_aside_at, letter.exchange, letter.routing_key, letter.by_broker)
    assert told == ("delivery_limit", moment, "heroes.commands", "03", True)
    assert "heroes.commands.03" in letter.detail


def test_what_a_publisher_wrote_on_a_letter_of_the_broker_steers_nothing() -> None:
    """3.10 keeps a publisher's own entry for this queue and reason, and only counts it up."""
    forged = {"reason": "expired", "queue": "heroes.commands.03", "exchange": "heroes.events", "routing-keys": ["x"]}
    headers = {
        "x-death": [forged],
        "x-dead-letter-reason": "handler_failed",
        "x-original-exchange": "heroes.events",
        "x-original-routing-key": "hero.deleted",
    }
    letter = read(arrived(headers=headers))
    assert (letter.exchange, letter.routing_key) == ("heroes.commands", "03")
    assert (letter.by_broker, letter.reason) == (True, "expired")


@pytest.mark.parametrize(
    ("exchange", "key", "to"),
    [
        ("heroes.commands", "07", ("heroes.commands", "07")),
        ("heroes.commands", "no slot", ("heroes.commands", "no slot")),
        ("", "heroes.commands.07", ("heroes.commands", "07")),
        ("", "heroes.commands.unslotted", ("heroes.commands", "unslotted")),
        ("", "another queue", ("heroes.commands", "another queue")),
        ("heroes.events", "hero.deleted", ("heroes.commands", "hero.deleted")),
    ],
)
def test_a_letter_goes_where_it_was_published_to(exchange: str, key: str, to: tuple[str, str]) -> None:
    headers = {
        "x-dead-letter-reason": "handler_failed",
        "x-original-exchange": exchange,
        "x-original-routing-key": key,
    }
    letter = read(arrived(headers=headers))
    assert (letter.exchange, letter.routing_key) == to
