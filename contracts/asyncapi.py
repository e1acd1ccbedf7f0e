"""The whole contract as one AsyncAPI 3.0 document, told from the worker's side: it receives commands, it sends events.

Everything in it is worked out from the models and names that the worker itself uses: nothing can be promised twice.
"""

import json
from pathlib import Path
from typing import Any

from contracts.asyncapi_channels import BINDING, HEADERS, LETTER, REPLIES, channels
from contracts.catalogue import TYPES, Kind, MessageType, name_of
from contracts.channels import COMMANDS, DEAD_LETTERS, EVENTS, QUERIES
from contracts.envelope import CONTENT_TYPE
from contracts.shapes import shared_schemas

VERSION = "0.1.0"
EXAMPLES = Path(__file__).parent / "examples"

_ABOUT = """Other services publish commands, the worker applies each one exactly once in one transaction and publishes
events that say what happened. Every message is a CloudEvents 1.0 document in structured mode: the body is the whole
message. Unknown attributes are ignored, unknown fields in a command's `data` are refused. Types are strict: `3.0` is no
integer. Ids go up to 2^63-1: don't read them into a double. An incompatible change of a type gets a new name
(`hero.create.v2`). docs/wire.md tells the rest."""


def document() -> dict[str, Any]:
    """The document, ready to be written."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "heroes-worker",
            "version": VERSION,
            "description": _ABOUT.replace("\n", " "),
            "license": {"name": "MIT"},
        },
        "defaultContentType": CONTENT_TYPE,
        "servers": {"rabbitmq": _server()},
        "channels": channels(_names(Kind.COMMAND), _names(Kind.EVENT), _names(Kind.QUERY), _replies()),
        "operations": _operations(),
        "components": {
            "securitySchemes": {"user": {"type": "userPassword", "description": "docs/wire.md lists permissions."}},
            "correlationIds": _correlation_ids(),
            "messages": {one.name: _message(one) for one in TYPES} | {LETTER: _letter()},
            "schemas": shared_schemas("#/components/schemas/{model}") | {f"{k}.headers": v for k, v in HEADERS.items()},
        },
    }


def _server() -> dict[str, Any]:
    return {
        "host": "{host}:5672",
        "pathname": "/{virtual_host}",
        "protocol": "amqp",
        "protocolVersion": "0.9.1",
        "description": "Your RabbitMQ.",
        "variables": {"host": {"default": "localhost"}, "virtual_host": {"default": "heroes"}},
        "security": [{"$ref": "#/components/securitySchemes/user"}],
    }


def _names(kind: Kind) -> list[str]:
    return [one.name for one in TYPES if one.kind is kind]


def _replies() -> list[str]:
    """Everything that answers something, once."""
    return list(dict.fromkeys(name_of(answer) for one in TYPES for answer in one.answers))


def _operations() -> dict[str, Any]:
    asked = {Kind.COMMAND: COMMANDS, Kind.QUERY: QUERIES}
    received = {f"receive.{one.name}": _receive(one, asked[one.kind]) for one in TYPES if one.kind in asked}
    return received | {
        "send.events": _operation("send", EVENTS, _names(Kind.EVENT), deliveryMode=2, mandatory=False, timestamp=True),
        "send.dead_letters": _operation("send", DEAD_LETTERS, [LETTER], deliveryMode=2, mandatory=True),
    }


def _receive(one: MessageType, channel: str) -> dict[str, Any]:
    delivery_mode = 2 if one.kind is Kind.COMMAND else 1
    answers = [_in_channel(REPLIES, name_of(answer)) for answer in one.answers]
    return _operation("receive", channel, [one.name], deliveryMode=delivery_mode, mandatory=True, ack=True) | {
        "reply": {
            "address": {"location": "$message.header#/reply_to"},
            "channel": {"$ref": f"#/channels/{REPLIES}"},
            "messages": answers,
        }
    }


def _operation(action: str, channel: str, messages: list[str], **amqp: Any) -> dict[str, Any]:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [_in_channel(channel, name) for name in messages],
        "bindings": {"amqp": {**amqp, **BINDING}},
    }


def _in_channel(channel: str, name: str) -> dict[str, str]:
    return {"$ref": f"#/channels/{channel}/messages/{name}"}


def _correlation_ids() -> dict[str, Any]:
    asked = {"description": "Chosen by the asker; the reply carries it.", "location": "$message.header#/correlation_id"}
    told = {
        "description": "Copied from the command, else the command's id.",
        "location": "$message.payload#/correlationid",
    }
    return {"asked": asked, "told": told}


def _message(one: MessageType) -> dict[str, Any]:
    correlation = "told" if one.kind is Kind.EVENT else "asked"
    example = json.loads((EXAMPLES / f"{one.name}.json").read_text(encoding="utf-8"))
    return {
        "name": one.name,
        "title": one.model.__name__,
        "summary": " ".join((one.model.__doc__ or "").split()),
        "contentType": CONTENT_TYPE,
        "correlationId": {"$ref": f"#/components/correlationIds/{correlation}"},
        "headers": {"$ref": f"#/components/schemas/{one.kind}.headers"},
        "payload": {"$ref": f"#/components/schemas/{one.model.__name__}"},
        "bindings": {"amqp": {"messageType": one.name, **BINDING}},
        "examples": [{"name": one.name, **example}],
    }


def _letter() -> dict[str, Any]:
    example = json.loads((EXAMPLES / f"{LETTER}.json").read_text(encoding="utf-8"))
    return {
        "name": LETTER,
        "title": "Dead letter",
        "summary": "A command that could not be applied, as it was published.",
        "headers": {"$ref": f"#/components/schemas/{LETTER}.headers"},
        "payload": {"description": "The body as it came, of whatever form."},
        "examples": [{"name": LETTER, **example}],
    }
