"""Makes the message anew that a dead letter was, and publishes it as a command again, by its first routing key.

The body is untouched. Left out is what the way through the dead letters has added, and what would do harm: a user id
(the broker takes only our own) and CC and BCC (every queue that they named was given a copy then).
"""

from collections.abc import Mapping
from typing import Any

import aio_pika
from aio_pika import DeliveryMode

from worker.messaging.channel import ConfirmedChannel
from worker.messaging.dead_letters import is_writable
from worker.messaging.letter import DeadLetter

_ADDED = ("x-dead-letter", "x-death", "x-first-death-", "x-last-death-", "x-original-")
_ADDED_NAMES = frozenset({"x-delivery-count", "x-acquired-count", "x-attempts", "x-worker", "CC", "BCC"})

_HIGHEST_PRIORITY = 255
_MOST_MILLISECONDS = 2**32 - 1


async def resend(channel: ConfirmedChannel, letter: DeadLetter) -> None:
    """The broker has the command again. Sent twice, the inbox knows it.

    Raises:
        PublishNotConfirmedError: it may or may not have it.
    """
    await channel.publish(original(letter), exchange=letter.exchange, routing_key=letter.routing_key, mandatory=True)


def original(letter: DeadLetter) -> aio_pika.Message:
    """The message as its publisher wrote it, as far as it may be written again."""
    message = letter.message
    expiration = _number(letter.headers, "x-original-expiration", _MOST_MILLISECONDS)
    return aio_pika.Message(
        message.body,
        headers={name: value for name, value in letter.headers.items() if _is_publishers(name, value)},
        content_type=message.content_type,
        content_encoding=message.content_encoding,
        delivery_mode=DeliveryMode.PERSISTENT,
        priority=_number(letter.headers, "x-original-priority", _HIGHEST_PRIORITY) or message.priority,
        correlation_id=message.correlation_id,
        reply_to=message.reply_to,
        expiration=None if expiration is None else expiration / 1000,
        message_id=message.message_id,
        timestamp=message.timestamp,
        type=message.type,
        app_id=message.app_id,
    )


def _is_publishers(name: str, value: Any) -> bool:
    return not name.startswith(_ADDED) and name not in _ADDED_NAMES and is_writable(name, value)


def _number(headers: Mapping[str, Any], name: str, at_most: int) -> int | None:
    value = headers.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= at_most else None
