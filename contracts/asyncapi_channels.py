"""The channels of the AsyncAPI document: where messages travel, what their AMQP properties are.

AMQP's own properties stand among the headers, marked `x-amqp-property`: AsyncAPI 3.0 has no other place for them.
"""

from collections.abc import Iterable
from typing import Any

from contracts.channels import COMMANDS, DEAD_LETTERS, EVENT_LOG, EVENTS, QUERIES, REPLY_TO_PATTERN, SLOTS, UNSLOTTED

REPLIES = "replies"
LETTER = "dead_letter"
BINDING = {"bindingVersion": "0.3.0"}

_SLOT = f"""The slot: CRC-32 (IEEE 802.3, as in zlib, PNG and gzip) of a key, modulo {SLOTS}, as two decimal digits.
The key is, in ASCII, the entity's id in decimal without leading zeros, or the message's own `id` where the command
names no one entity (a creation, a batch). Key `42` gives `08`, key `6ba7b810-9dad-11d1-80b4-00c04fd430c8` gives
`06`; docs/wire.md has more. It keeps the commands for one entity in one queue and thereby in order."""

_COMMANDS = f"""Orders to the worker. Publish them persistent and mandatory, with a publisher confirm, without
`expiration` and `priority`; send the next command for an entity only when the one before is confirmed. Unconfirmed
is unknown: publish the same body with the same `id` again, it takes effect once. A routing key that is no slot
loses nothing but the order: such commands go to the queue `{UNSLOTTED}`."""

_EVENTS = """Facts, each at least once: remember the ids that you have handled. The routing key is the type. Declare
a queue of your own as docs/wire.md tells; unknown types and unknown fields will come: ignore them."""

_LOG = f"""Every event of `{EVENTS}` once more, as a stream that can be read from any point (`x-stream-offset`),
kept for 7 days by default. The broker fills it by a binding; it is absent where the setting says 0 days."""

_QUERIES = """Questions that change nothing; the routing key is the type. They expire after 30 s, and one without a
fitting `reply_to` is not answered."""

_REPLIES = """The queue that a command or query names in `reply_to`, over the default exchange, with its
`correlation_id`. For a command it is a favour and may be missing after a crash: the event is what counts."""

_LETTERS = "Commands that stand here for a person, the body untouched, the properties kept, the reason in the headers."


def channels(commands: Iterable[str], events: Iterable[str], queries: Iterable[str], replies: Iterable[str]) -> Any:
    """Every channel, with the names of its messages."""
    by_type = {"type": {"description": "The attribute `type`.", "location": "$message.payload#/type"}}
    slots = [f"{number:02d}" for number in range(SLOTS)]
    events = tuple(events)
    return {
        COMMANDS: _exchange(COMMANDS, "direct", _COMMANDS, commands, "{slot}")
        | {"parameters": {"slot": {"description": _SLOT, "enum": slots}}},
        EVENTS: _exchange(EVENTS, "topic", _EVENTS, events, "{type}") | {"parameters": by_type},
        EVENT_LOG: _queue(EVENT_LOG, _LOG, events),
        QUERIES: _exchange(QUERIES, "direct", _QUERIES, queries, "{type}") | {"parameters": by_type},
        DEAD_LETTERS: _queue(DEAD_LETTERS, _LETTERS, (LETTER,)),
        REPLIES: _exchange("", "default", _REPLIES, replies, None),
    }


def _exchange(name: str, kind: str, description: str, messages: Iterable[str], address: str | None) -> dict[str, Any]:
    exchange = {"name": name, "type": kind, "durable": True, "autoDelete": False}
    return _channel(address, description, messages, {"is": "routingKey", "exchange": exchange})


def _queue(name: str, description: str, messages: Iterable[str]) -> dict[str, Any]:
    queue = {"name": name, "durable": True, "exclusive": False, "autoDelete": False}
    return _channel(name, description, messages, {"is": "queue", "queue": queue})


def _channel(address: str | None, description: str, messages: Iterable[str], amqp: dict[str, Any]) -> dict[str, Any]:
    return {
        "address": address,
        "description": description.replace("\n", " "),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"amqp": {**amqp, **BINDING}},
    }


def _property(description: str, **more: Any) -> dict[str, Any]:
    return {"type": "string", "description": description, "x-amqp-property": True, **more}


_REPLY_TO = _property(
    "The queue to answer to. A name that does not fit is ignored.", pattern=f"^{REPLY_TO_PATTERN}$", maxLength=255
)
_CORRELATION_ID = _property("Comes back with the reply.", maxLength=255)
_TRACE = {"type": "string", "description": "W3C trace context, as in the envelope."}
_ASKING = {"reply_to": _REPLY_TO, "correlation_id": _CORRELATION_ID}
_TOLD = {
    "message_id": _property("The attribute `id`."),
    "type": _property("The attribute `type`."),
    "correlation_id": _property("Of a reply: the question's. Of an event: the attribute `correlationid`."),
    "app_id": _property("The worker.", const="heroes-worker"),
    "traceparent": _TRACE,
}
_LETTER = {
    "x-dead-letter-reason": {"type": "string", "description": "As in the event; expect new ones."},
    "x-dead-letter-detail": {"type": "string", "description": "What is wrong, at most 2 kB, without values of fields."},
    "x-dead-lettered-at": {"type": "string", "format": "date-time"},
    "x-original-exchange": {"type": "string"},
    "x-original-routing-key": {"type": "string"},
    "x-attempts": {"type": "integer", "description": "How often it was tried, where it reached a handler."},
    "x-worker": {"type": "string", "description": "Who set it aside."},
    "x-dead-letter-truncated": {"type": "boolean", "description": "Headers that were too large were left out."},
    "x-death": {"type": "array", "description": "The only one of these where the broker itself set it aside."},
}

HEADERS: dict[str, dict[str, Any]] = {
    "command": {"type": "object", "properties": _ASKING},
    "query": {"type": "object", "properties": _ASKING, "required": ["reply_to"]},
    "event": {"type": "object", "properties": _TOLD, "required": ["message_id", "type", "app_id"]},
    "reply": {"type": "object", "properties": _TOLD, "required": ["message_id", "type", "app_id"]},
    LETTER: {"type": "object", "properties": _LETTER},
}
