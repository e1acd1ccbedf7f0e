"""Whatever a publisher put on a message, its letter can be published, kept and read."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import aio_pika
import pytest
from aio_pika.abc import AbstractIncomingMessage
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pamqp import commands, frame, header

from worker.messaging.channel import ConfirmedChannel
from worker.messaging.dead_letters import DeadLetters
from worker.outcomes import Letter, Reason

LETTER = Letter(Reason.HANDLER_FAILED, "the handler raised KeyError", 3)
FRAME_BYTES = 128 * 1024
"""The largest frame that RabbitMQ takes; the headers must fit one."""
ROOM = 64 * 1024


class Kept:
    """Takes the place of a channel, and remembers what was published on it."""

    def __init__(self) -> None:
        self.published: list[tuple[aio_pika.Message, dict[str, Any]]] = []
        self.under_way = self.most_under_way = 0

    async def publish(self, message: aio_pika.Message, **how: Any) -> None:
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        await asyncio.wait({asyncio.get_running_loop().create_future()}, timeout=0)
        self.published.append((message, how))
        self.under_way -= 1


def arrived(body: bytes = b"body", **properties: Any) -> AbstractIncomingMessage:
    """A message as the AMQP client hands it over."""
    names = (
        *("content_type", "content_encoding", "correlation_id", "reply_to", "message_id", "timestamp", "type"),
        *("app_id", "user_id", "expiration", "priority", "delivery_mode"),
    )
    given: dict[str, Any] = dict.fromkeys(names) | {"headers": {}, "exchange": "heroes.commands", "routing_key": "07"}
    return cast("AbstractIncomingMessage", SimpleNamespace(body=body, **{**given, **properties}))


async def letter_for(message: AbstractIncomingMessage, letter: Letter = LETTER) -> aio_pika.Message:
    channel = Kept()
    await DeadLetters(cast("ConfirmedChannel", channel), "worker-1").send(message, letter)
    ((published, how),) = channel.published
    assert how == {"exchange": "heroes.dead_letters", "routing_key": message.routing_key or "", "mandatory": True}
    return published


def on_the_wire(message: aio_pika.Message) -> commands.Basic.Properties:
    """Through the bytes of a real frame."""
    written = frame.marshal(header.ContentHeader(0, len(message.body), message.properties), 1)
    assert len(written) <= FRAME_BYTES
    _, _, read = frame.unmarshal(written)
    assert isinstance(read, header.ContentHeader)
    return read.properties


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


FIELDS = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats()
    | st.text(max_size=40)
    | st.binary(max_size=40)
    | st.datetimes(timezones=st.just(UTC))
    | st.decimals(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=300), inner, max_size=3),
    max_leaves=6,
)


@settings(deadline=None, max_examples=100, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.text(max_size=300), FIELDS, max_size=6))
def test_a_message_with_any_headers_has_a_letter_that_fits_a_frame(headers: dict[str, Any]) -> None:
    on_the_wire(asyncio.run(letter_for(arrived(headers=headers))))


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC)])
async def test_any_timestamp_that_can_be_read_can_be_written_again(moment: datetime) -> None:
    on_the_wire(await letter_for(arrived(timestamp=moment)))


@pytest.mark.parametrize("expiration", [None, 0.001, 86_400.0, 4_294_967.295])
async def test_any_expiration_can_be_told(expiration: float | None) -> None:
    on_the_wire(await letter_for(arrived(expiration=expiration)))


@pytest.mark.parametrize("routing_key", ["", "07", "ü" * 127])
async def test_any_routing_key_can_be_told(routing_key: str) -> None:
    letter = await letter_for(arrived(routing_key=routing_key))
    assert letter.headers["x-original-routing-key"] == routing_key
    on_the_wire(letter)
