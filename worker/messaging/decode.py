"""Turns a message's body into a typed command or query, or into the reason why it is none.

Decoding never raises, whatever the bytes, and a reason never tells the value of a field: it ends up in headers,
events and logs.
"""

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import reduce
from hashlib import sha256
from operator import or_
from typing import Annotated, Any, get_args

from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import from_json

from contracts.envelope import HeaderText, Instant, MessageId, Request, ShortText
from worker.errors import in_code
from worker.failsafe import Failure, attempted
from worker.outcomes import Letter, Outcome, Reason, Traits, set_aside, shortened

_CONTENT_TYPES = frozenset({"application/cloudevents+json", "application/json"})
_SHOWN_CHARACTERS = 200
_SHOWN_ERRORS = 10
_READ_AT_MOST_TIMES_THE_LIMIT = 4  # reading goes on the event loop: a huge body must not hold up everybody else


_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Undecodable:
    """A message that is no command of ours, and what could be read of it all the same."""

    letter: Letter
    traits: Traits
    body_sha256: str

    def outcome(self) -> Outcome:
        """What the pipeline does with it."""
        return set_aside(self.traits, self.letter, self.body_sha256)


def traits_of(content: Request | Undecodable) -> Traits:
    """What could be read of a message, whether it is one of ours or not."""
    if isinstance(content, Undecodable):
        return content.traits
    return Traits(
        content.id, content.type, content.time, content.correlationid, content.traceparent, content.tracestate
    )


class Decoder:
    """Knows the types of messages that this worker takes from a queue."""

    def __init__(self, shapes: Sequence[type[Request]], max_body_bytes: int) -> None:
        self._types = frozenset(kind for shape in shapes for kind in get_args(shape.model_fields["type"].annotation))
        self._expected_types = f"type should be one of {', '.join(sorted(self._types))}"
        union: Any = reduce(or_, shapes)
        self._tagged = len(shapes) > 1
        tagged: Any = Annotated[union, Field(discriminator="type")] if self._tagged else union
        self._adapter: TypeAdapter[Any] = TypeAdapter(tagged)
        self._traits = TraitsReader(max_body_bytes)
        self._max_body_bytes = max_body_bytes

    def decode(self, body: bytes, content_type: str | None) -> Request | Undecodable:
        """The message, checked in full, or why there is none. Synchronous: a command's turn is taken right after."""
        if not _is_json(content_type):
            return self._undecodable(body, "content type should be application/cloudevents+json or application/json")
        if len(body) > self._max_body_bytes:
            return self._undecodable(body, f"body should be at most {self._max_body_bytes} bytes")
        read = attempted(self._adapter.validate_json, body)
        if not isinstance(read, Failure):
            request: Request = read
            return request
        if isinstance(read.error, ValidationError):
            return self._refused(body, read.error)
        _log.error("the contract's own code failed: %s", in_code(read.error))
        what = type(read.error).__name__  # a validator's own: as a handler's, it is mended by another worker
        return self._undecodable(body, f"the contract's own code raised {what}", Reason.HANDLER_FAILED)

    def _refused(self, body: bytes, error: ValidationError) -> Undecodable:
        document = self._traits.document(body)
        kind = document.get("type") if isinstance(document, dict) else None
        if isinstance(kind, str) and kind not in self._types:
            return self._undecodable(body, self._expected_types, Reason.UNKNOWN_TYPE)
        return self._undecodable(body, self._describe(error))

    def _undecodable(self, body: bytes, detail: str, reason: Reason = Reason.INVALID_COMMAND) -> Undecodable:
        return Undecodable(Letter(reason, shortened(detail)), self._traits.of(body), sha256(body).hexdigest())

    def _describe(self, error: ValidationError) -> str:
        """Where it is wrong and what is expected there, without what stood there."""
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        if errors[0]["type"].startswith("union_tag"):  # pydantic's own text would quote the value
            return self._expected_types
        shown = [_where(item["loc"][1 if self._tagged else 0 :]) + item["msg"] for item in errors[:_SHOWN_ERRORS]]
        more = [f"and {len(errors) - _SHOWN_ERRORS} more"] if len(errors) > _SHOWN_ERRORS else []
        return "; ".join(shown + more)


class TraitsReader:
    """Reads what can be read of a message that is wrong, each part for itself."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._id: TypeAdapter[str] = TypeAdapter(MessageId)
        self._instant: TypeAdapter[str] = TypeAdapter(Instant)
        self._correlation_id: TypeAdapter[str] = TypeAdapter(ShortText)
        self._trace: TypeAdapter[str] = TypeAdapter(HeaderText)

    def document(self, body: bytes) -> object:
        """What the body says, if it is JSON at all and short enough to be read here; else None."""
        if len(body) <= _READ_AT_MOST_TIMES_THE_LIMIT * self._max_body_bytes:
            with suppress(ValueError):
                return from_json(body)
        return None

    def of(self, body: bytes) -> Traits:
        """Whatever is missing or wrong stays None."""
        document = self.document(body)
        if not isinstance(document, dict):
            return Traits()
        kind = document.get("type")
        return Traits(
            command_id=_valid(self._id, document.get("id")),
            type=kind if isinstance(kind, str) and kind.isprintable() and len(kind) <= _SHOWN_CHARACTERS else None,
            time=_valid(self._instant, document.get("time")),
            correlation_id=_valid(self._correlation_id, document.get("correlationid")),
            traceparent=_valid(self._trace, document.get("traceparent")),
            tracestate=_valid(self._trace, document.get("tracestate")),
        )


def _valid(adapter: TypeAdapter[str], value: object) -> str | None:
    try:
        return adapter.validate_python(value, strict=True)
    except ValidationError:
        return None


def _is_json(content_type: str | None) -> bool:
    """None at all is taken for JSON; letter case and parameters like charset do not matter (RFC 9110, 8.3.1)."""
    return content_type is None or content_type.split(";")[0].strip().lower() in _CONTENT_TYPES


def _where(location: tuple[str | int, ...]) -> str:
    path = ".".join(str(part)[:_SHOWN_CHARACTERS] for part in location)
    return f"{path}: " if path else ""
