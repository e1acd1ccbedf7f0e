"""Sets a command aside for a person: the untouched body, its properties and the reason, in the dead-letter queue.

Whatever the publisher put on the message, the letter must be kept: what would close our channel, make the letter
expire or address it elsewhere moves to headers of its own, and what does not fit is left out and said to be.
"""

import asyncio
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import aio_pika
from aio_pika import DeliveryMode
from aio_pika.abc import AbstractIncomingMessage
from pamqp import encode

from contracts.channels import DEAD_LETTERS
from contracts.envelope import rfc3339
from worker.messaging.channel import ConfirmedChannel
from worker.outcomes import Letter

_HEADER_BYTES = 64 * 1024
# The broker's counts, and what only the worker writes: a publisher must not, nor a letter that was put back by hand.
_OWN_HEADERS = frozenset(
    {
        "x-delivery-count",
        "x-acquired-count",
        "x-dead-letter-reason",
        "x-dead-letter-detail",
        "x-dead-letter-truncated",
        "x-dead-lettered-at",
        "x-attempts",
        "x-worker",
        "x-original-exchange",
        "x-original-routing-key",
        "x-original-user-id",
        "x-original-expiration",
        "x-original-priority",
        "x-original-cc",
        "x-original-bcc",
    }
)
_DEATHS = ("x-death", "x-first-death-", "x-last-death-")  # the broker's alone: by them a letter of its own is known
_ADDRESSING_HEADERS = frozenset({"CC", "BCC"})


class DeadLetters:
    """Publishes letters one at a time, mandatory and confirmed, on a channel that nothing else uses."""

    def __init__(self, channel: ConfirmedChannel, worker_id: str) -> None:
        self._channel = channel
        self._worker_id = worker_id
        self._one_at_a_time = asyncio.Lock()

    async def send(self, message: AbstractIncomingMessage, letter: Letter) -> None:
        """The letter stands in the dead-letter queue. Sent twice, it stands there twice, with one message id.

        Raises:
            PublishNotConfirmedError: it may or may not stand there: send it again.
        """
        async with self._one_at_a_time:
            copy = _copy_of(message, self._headers(message, letter))
            await self._channel.publish(
                copy, exchange=DEAD_LETTERS, routing_key=message.routing_key or "", mandatory=True
            )

    def _headers(self, message: AbstractIncomingMessage, letter: Letter) -> dict[str, Any]:
        attempts = {} if letter.attempts is None else {"x-attempts": letter.attempts}
        return {
            **_kept(message),
            "x-dead-letter-reason": str(letter.reason),
            "x-dead-letter-detail": letter.detail,
            "x-dead-lettered-at": rfc3339(datetime.now(UTC), "milliseconds"),
            "x-original-exchange": message.exchange or "",
            "x-original-routing-key": message.routing_key or "",
            "x-worker": self._worker_id,
            **attempts,
        }


def _copy_of(message: AbstractIncomingMessage, headers: Mapping[str, Any]) -> aio_pika.Message:
    return aio_pika.Message(
        message.body,
        headers=dict(headers),
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def _kept(message: AbstractIncomingMessage) -> dict[str, Any]:
    """The publisher's headers and moved properties, as far as they fit one frame; `x-dead-letter-truncated` if not."""
    moved = {
        "x-original-user-id": message.user_id,
        "x-original-expiration": _milliseconds(message.expiration),
        "x-original-priority": message.priority or None,  # the client library gives 0 where there is none
    }
    kept: dict[str, Any] = {name: value for name, value in moved.items() if value is not None}
    candidates: dict[str, Any] = {
        f"x-original-{name.lower()}" if name in _ADDRESSING_HEADERS else name: value
        for name, value in message.headers.items()
        if name not in _OWN_HEADERS and not name.startswith(_DEATHS)
    }
    room = _HEADER_BYTES
    for name, value in sorted(candidates.items(), key=lambda item: _size(*item)):
        room -= _size(name, value)
        if room < 0:
            kept["x-dead-letter-truncated"] = True
            break
        kept[name] = value
    return kept


def is_writable(name: str, value: Any) -> bool:
    """The client library can write this header, and it is not larger than all of them may be."""
    return _size(name, value) <= _HEADER_BYTES


def _size(name: str, value: Any) -> int:
    """The bytes that a header takes in a frame; one that can't be written again never fits."""
    if not _is_shallow(value):  # the client library writes tables in tables by recursion
        return _HEADER_BYTES + 1
    try:
        return len(encode.field_table({name: value}))
    except (TypeError, ValueError, OverflowError, struct.error):
        return _HEADER_BYTES + 1


def _is_shallow(value: Any, levels: int = 32) -> bool:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels > 0 and all(_is_shallow(item, levels - 1) for item in inner)


def _milliseconds(expiration: Any) -> int | None:
    """As the publisher wrote it: the client library turns AMQP's milliseconds into seconds."""
    return round(expiration * 1000) if isinstance(expiration, int | float) else None
