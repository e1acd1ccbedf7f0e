"""Whatever a publisher put on a message, its letter can be published, kept and read."""

import asyncio
from datetime import UTC, datetime
from typing import Any, cast

import aio_pika
import pytest

from tests.harness.arrived import LETTER, Kept, arrived, letter_for, on_the_wire
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.dead_letters import DeadLetters
from worker.outcomes import Letter, Reason

ROOM = 64 * 1024


async def test_a_letter_is_the_untouched_body_with_the_reason() -> None:
    letter = await letter_for(arrived(b"\x00\xff not json"))
    assert letter.body == b"\x00\xff not json"
    headers = letter.headers
    at = datetime.fromisoformat(str(headers.pop("x-dead-lettered-at")))
    assert abs((datetime.now(UTC) - at).total_seconds()) < 5
    assert headers == {
        "x-dead-letter-reason": "handler_failed",
        "x-dead-letter-detail": "the handler raised KeyError",
        "x-original-exchange": "heroes.commands",
        "x-original-routing-key": "07",
        "x-worker": "worker-1",
        "x-attempts": 3,
    }
    assert letter.delivery_mode == aio_pika.DeliveryMode.PERSISTENT


async def test_a_letter_without_attempts_counts_none() -> None:
    letter = await letter_for(arrived(), Letter(Reason.INVALID_COMMAND, "d"))
    assert "x-attempts" not in letter.headers


async def test_the_properties_of_the_message_stay() -> None:
    given: dict[str, Any] = {
        "content_type": "text/plain",
        "content_encoding": "gzip",
        "correlation_id": "c",
        "reply_to": "amq.gen-1",
        "message_id": "m",
        "timestamp": datetime(2026, 1, 2, tzinfo=UTC),
        "type": "t",
        "app_id": "a",
    }
    letter = await letter_for(arrived(**given, headers={"own": 1, "traceparent": "00-1"}))
    assert {name: getattr(letter, name) for name in given} == given
    assert (letter.headers["own"], letter.headers["traceparent"]) == (1, "00-1")


async def test_what_would_close_the_channel_or_let_the_letter_vanish_moves_aside() -> None:
    """A user id of somebody else is refused by the broker, an expiration deletes, CC sends elsewhere."""
    headers = {"CC": ["elsewhere"], "BCC": ["hidden"]}
    letter = await letter_for(arrived(user_id="ann", expiration=1.5, priority=9, headers=headers))
    assert (letter.user_id, letter.expiration, letter.priority) == (None, None, None) or not letter.priority
    assert not {"CC", "BCC"} & set(letter.headers)
    moved = {name: value for name, value in letter.headers.items() if name.startswith("x-original-")}
    assert moved == {
        "x-original-exchange": "heroes.commands",
        "x-original-routing-key": "07",
        "x-original-user-id": "ann",
        "x-original-expiration": 1500,
        "x-original-priority": 9,
        "x-original-cc": ["elsewhere"],
        "x-original-bcc": ["hidden"],
    }


async def test_an_expiration_of_zero_is_told_too() -> None:
    """Zero is a value that a publisher chose: deliver at once or never."""
    letter = await letter_for(arrived(expiration=0.0))
    assert letter.headers["x-original-expiration"] == 0


async def test_the_brokers_own_counts_do_not_go_along() -> None:
    headers = {"x-delivery-count": 5, "x-acquired-count": 5, "x-death": [{"queue": "q"}]}
    letter = await letter_for(arrived(headers=headers))
    assert "x-delivery-count" not in letter.headers
    assert "x-acquired-count" not in letter.headers
    assert "x-death" not in letter.headers


@pytest.mark.parametrize(
    "name",
    ["x-dead-letter-reason", "x-dead-letter-detail", "x-worker", "x-original-exchange", "x-dead-lettered-at"],
)
async def test_a_publisher_can_not_write_the_reason_itself(name: str) -> None:
    """A letter that comes a second time tells why it came now."""
    letter = await letter_for(arrived(headers={name: "forged"}))
    assert letter.headers[name] != "forged"


async def test_attempts_of_an_earlier_letter_are_not_those_of_this_one() -> None:
    """Republished by hand with its old headers, it did not reach the handler this time."""
    letter = await letter_for(arrived(headers={"x-attempts": 5}), Letter(Reason.INVALID_COMMAND, "d"))
    assert "x-attempts" not in letter.headers


async def test_headers_that_do_not_fit_are_left_out_and_said_to_be() -> None:
    letter = await letter_for(arrived(headers={"small": 1, "large": "x" * ROOM, "middle": "y" * 1000}))
    assert (letter.headers["small"], letter.headers["middle"]) == (1, "y" * 1000)
    assert "large" not in letter.headers
    assert letter.headers["x-dead-letter-truncated"] is True
    on_the_wire(letter)


async def test_headers_that_fit_are_all_kept() -> None:
    headers = {f"h{number}": "x" * 1000 for number in range(60)}
    letter = await letter_for(arrived(headers=headers))
    assert headers.items() <= letter.headers.items()
    assert "x-dead-letter-truncated" not in letter.headers


async def test_a_mark_of_an_earlier_truncation_does_not_stay_on_a_whole_letter() -> None:
    letter = await letter_for(arrived(headers={"x-dead-letter-truncated": False}))
    assert letter.headers.get("x-dead-letter-truncated") is not True


async def test_letters_go_one_at_a_time() -> None:
    """Each waits for its confirm: a returned letter must never be taken for another."""
    channel = Kept()
    letters = DeadLetters(cast("ConfirmedChannel", channel), "worker-1")
    await asyncio.gather(*(letters.send(arrived(), LETTER) for _ in range(10)))
    assert (len(channel.published), channel.most_under_way) == (10, 1)
