"""Turns a message's body into a typed command, or into the reason why it is none.

Decoding never raises, whatever the bytes, and a reason never tells the value of a field: it ends up in headers,
events and logs.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from contracts.envelope import Command, Instant, MessageId, ShortText
from worker.outcomes import Letter, Outcome, Reason, Traits, set_aside, shortened

_CONTENT_TYPES = frozenset({"application/cloudevents+json", "application/json"})
_SHOWN_CHARACTERS = 200
_SHOWN_ERRORS = 10
_READ_AT_MOST_TIMES_THE_LIMIT = 4  # reading goes on the event loop: a huge body must not hold up everybody else


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that is no command of ours, and what could be read of it all the same."""

    letter: Letter
    traits: Traits
    body_sha256: str

    def outcome(self) -> Outcome:
        """What the pipeline does with it."""
        return set_aside(self.traits, self.letter, self.body_sha256)


class Decoder:
    """Knows the command types that this worker takes."""

    def __init__(self, commands: Sequence[type[Command]], max_body_bytes: int) -> None:
        union: Any = commands[0]
        for command in commands[1:]:
            union |= command
        tagged: Any = Annotated[union, Field(discriminator="type")] if len(commands) > 1 else union
        self._adapter: TypeAdapter[Any] = TypeAdapter(tagged)
        self._id: TypeAdapter[str] = TypeAdapter(MessageId)
        self._instant: TypeAdapter[str] = TypeAdapter(Instant)
        self._correlation_id: TypeAdapter[str] = TypeAdapter(ShortText)
        self._max_body_bytes = max_body_bytes

    def decode(self, body: bytes, content_type: str | None) -> Command | Undecodable:
        """The command, checked in full, or why there is none. Synchronous: the hero's turn is taken right after."""
        if not _is_json(content_type):
            return self._undecodable(body, "content type should be application/cloudevents+json or application/json")
        if len(body) > self._max_body_bytes:
            return self._undecodable(body, f"body should be at most {self._max_body_bytes} bytes")
        try:
            command: Command = self._adapter.validate_json(body)
        except ValidationError as error:
            return self._undecodable(body, _describe(error), _reason(error))
        return command

    def _undecodable(self, body: bytes, detail: str, reason: Reason = Reason.INVALID_COMMAND) -> Undecodable:
        return Undecodable(Letter(reason, shortened(detail)), self._traits(body), sha256(body).hexdigest())

    def _traits(self, body: bytes) -> Traits:
        """What can be read of a message that is wrong, each part for itself."""
        if len(body) > _READ_AT_MOST_TIMES_THE_LIMIT * self._max_body_bytes:
            return Traits()
        try:
            document = from_json(body)
        except ValueError:
            return Traits()
        if not isinstance(document, dict):
            return Traits()
        kind = document.get("type")
        return Traits(
            command_id=_valid(self._id, document.get("id")),
            type=kind if isinstance(kind, str) and kind.isprintable() and len(kind) <= _SHOWN_CHARACTERS else None,
            time=_valid(self._instant, document.get("time")),
            correlation_id=_valid(self._correlation_id, document.get("correlationid")),
        )


def _valid(adapter: TypeAdapter[str], value: object) -> str | None:
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError:
        return None


def _is_json(content_type: str | None) -> bool:
    """None at all is taken for JSON; letter case and parameters like charset do not matter (RFC 9110, 8.3.1)."""
    return content_type is None or content_type.split(";")[0].strip().lower() in _CONTENT_TYPES


def _reason(error: ValidationError) -> Reason:
    """A well-formed type that nobody here handles is told apart from a message that is wrong."""
    first = error.errors(include_url=False, include_context=False)[0]
    named = isinstance(first["input"], dict) and isinstance(first["input"].get("type"), str)
    return Reason.UNKNOWN_TYPE if first["type"] == "union_tag_invalid" and named else Reason.INVALID_COMMAND


def _describe(error: ValidationError) -> str:
    """Where it is wrong and what is expected there; pydantic puts the value only where it is asked to."""
    errors = error.errors(include_url=False, include_context=False, include_input=False)
    shown = [
        f"{'.'.join(str(part)[:100] for part in item['loc'][1:])}: {item['msg']}" for item in errors[:_SHOWN_ERRORS]
    ]
    more = [f"and {len(errors) - _SHOWN_ERRORS} more"] if len(errors) > _SHOWN_ERRORS else []
    return "; ".join(line.removeprefix(": ") for line in shown + more)
