"""One dead letter as an operator sees it, whoever set it aside: the worker, or the broker at its delivery limit.

Whatever stands on a letter, reading it never raises: what can't be read is told as unknown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import COMMANDS, UNSLOTTED, command_queues
from contracts.envelope import instant
from worker.messaging.decode import TraitsReader

_HASH_DIGITS = 16
_SHOWN_CHARACTERS = 200
UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A letter in hand; `id` names it on the command line, and a copy of it has the same."""

    message: AbstractIncomingMessage = field(repr=False)
    id: str
    command_id: str | None
    type: str
    reason: str
    detail: str
    set_aside_at: datetime | None
    by_broker: bool
    exchange: str
    routing_key: str

    @property
    def body(self) -> bytes:
        """The untouched bytes."""
        return self.message.body

    @property
    def headers(self) -> Mapping[str, Any]:
        """All of them, the publisher's and those that tell why it is here."""
        return self.message.headers

    @property
    def app_id(self) -> str:
        """What its publisher calls itself."""
        return _printable(self.message.app_id) or UNKNOWN

    @property
    def body_sha256(self) -> str:
        """Names this very body."""
        return sha256(self.message.body).hexdigest()

    def is_called(self, name: str) -> bool:
        """The name is the command's id, the message's, or made of the body's hash."""
        if name.startswith("sha256:") and len(name) >= len("sha256:") + _HASH_DIGITS:
            return f"sha256:{self.body_sha256}".startswith(name)
        return name in {self.id, self.message.message_id}


class LetterReader:
    """Reads letters as they arrive."""

    def __init__(self, max_body_bytes: int) -> None:
        self._traits = TraitsReader(max_body_bytes)

    def read(self, message: AbstractIncomingMessage) -> DeadLetter:
        """The letter."""
        traits = self._traits.of(message.body)
        headers, death = message.headers, _death(message.headers)
        by_broker = bool(death) or "x-dead-letter-reason" not in headers  # what the worker sets aside has no x-death
        return DeadLetter(
            message=message,
            id=traits.command_id or _printable(message.message_id) or _hash_name(message.body),
            command_id=traits.command_id,
            type=traits.type or _printable(message.type) or UNKNOWN,
            reason=_printable(death.get("reason") if by_broker else headers["x-dead-letter-reason"]) or UNKNOWN,
            detail=_detail(death) if by_broker else str(headers.get("x-dead-letter-detail", "")),
            set_aside_at=_moment(death.get("time") if by_broker else headers.get("x-dead-lettered-at")),
            by_broker=by_broker,
            exchange=COMMANDS,  # whatever a publisher wrote on it: a replay has an operator's rights
            routing_key=_routing_key(headers, death),
        )


def _death(headers: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the broker wrote when it set the message aside the last time; the newest stands first."""
    deaths = headers.get("x-death")
    newest = deaths[0] if isinstance(deaths, list) and deaths else None
    return newest if isinstance(newest, dict) else {}


def _detail(death: Mapping[str, Any]) -> str:
    return f"the broker set it aside from queue {_printable(death.get('queue')) or UNKNOWN}" if death else ""


def _routing_key(headers: Mapping[str, Any], death: Mapping[str, Any]) -> str:
    """By which it came to its queue. What went past the exchange, straight into a queue, goes by that one's slot, and
    so does what the broker set aside: of its entry only the queue can't be another's words.
    """
    keys = death.get("routing-keys")
    first = keys[0] if isinstance(keys, list) and keys else ""
    key = str(first if death else headers.get("x-original-routing-key", ""))
    queues = command_queues()
    for queue in (death.get("queue"), key):
        if queue in queues and queue != UNSLOTTED:
            return str(queue).removeprefix(f"{COMMANDS}.")
    return key.removeprefix(f"{COMMANDS}.")


def _moment(told: Any) -> datetime | None:
    """An instant with its zone, from the worker's text or the broker's timestamp."""
    if isinstance(told, datetime):
        return told if told.tzinfo else told.replace(tzinfo=UTC)
    try:
        moment = instant(told) if isinstance(told, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None


def _printable(text: Any) -> str:
    """The text, if it is one that a person can type."""
    return text if isinstance(text, str) and text.isprintable() and len(text) <= _SHOWN_CHARACTERS else ""


def _hash_name(body: bytes) -> str:
    return f"sha256:{sha256(body).hexdigest()[:_HASH_DIGITS]}"
