"""The CloudEvents 1.0 envelope around every message: who wrote it, when, about what, in answer to what.

Nobody may loosen a bound here without checking where the attribute ends up: `correlationid` becomes an AMQP short
string (255 bytes) and `traceparent` a header, and one that does not fit would fail at every publication, for ever.
"""

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Literal, Self, get_args
from uuid import uuid4

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
)

from contracts.channels import slot

CONTENT_TYPE = "application/cloudevents+json"

_AMQP_SHORT_STRING_BYTES = 255
_RFC3339 = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?([Zz]|[+-][0-9]{2}:[0-9]{2})$"


def instant(value: str) -> datetime:
    """The moment that an RFC 3339 text names, with its zone.

    Raises:
        ValueError: no such moment, like the 30th of February.
    """
    return datetime.fromisoformat(value.upper())


def rfc3339(moment: datetime, timespec: str = "microseconds") -> str:
    """The text that names this moment of UTC, to the fraction of a second that `datetime.isoformat` calls so."""
    return moment.isoformat(timespec=timespec).replace("+00:00", "Z")


def _is_instant(value: str) -> str:
    try:
        instant(value)
    except ValueError:
        raise ValueError("should be an RFC 3339 date and time that exists") from None
    return value


def _fits_amqp(value: str) -> str:
    if len(value.encode()) > _AMQP_SHORT_STRING_BYTES:
        raise ValueError(f"should be at most {_AMQP_SHORT_STRING_BYTES} bytes of UTF-8")
    return value


NO_NUL = r"^[^\x00]*$"
UUID_PATTERN = r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
_URI_REFERENCE = r"^[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+$"

MessageId = Annotated[str, StringConstraints(pattern=UUID_PATTERN)]
"""A UUID in canonical lower-case form."""
UriReference = Annotated[str, StringConstraints(pattern=_URI_REFERENCE, max_length=2048)]
ShortText = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=NO_NUL), AfterValidator(_fits_amqp)]
HeaderText = Annotated[str, StringConstraints(min_length=1, max_length=512, pattern=NO_NUL)]
Instant = Annotated[
    str,
    StringConstraints(pattern=_RFC3339),
    AfterValidator(_is_instant),
    Field(json_schema_extra={"format": "date-time"}),
]
"""An RFC 3339 date and time with a zone (5.6), kept as it was written."""


class Data(BaseModel):
    """The payload of a message; a field that the contract does not know is refused, not guessed at."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Envelope(BaseModel):
    """The CloudEvents attributes that every message has; unknown ones are ignored, as the specification asks."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    specversion: Literal["1.0"]
    id: MessageId
    source: UriReference
    type: str
    time: Instant | None = None
    datacontenttype: Literal["application/json"] = "application/json"
    correlationid: ShortText | None = None
    traceparent: HeaderText | None = None
    tracestate: HeaderText | None = None

    def to_json(self) -> bytes:
        """The body to publish, with content type `application/cloudevents+json`; what was not set is left out."""
        return self.model_dump_json(exclude_unset=True).encode()


class Request(Envelope):
    """Something that somebody asks of the worker."""

    data: Any

    @classmethod
    def new(cls, data: Any, *, source: str, **attributes: Any) -> Self:
        """One with a fresh id and the present time; `attributes` set any other attribute of the envelope."""
        now = rfc3339(datetime.now(UTC))
        (kind,) = get_args(cls.model_fields["type"].annotation)
        fresh = {"specversion": "1.0", "id": str(uuid4()), "type": kind, "time": now}
        return cls(**{**fresh, "source": source, "data": data, **attributes})


class Command(Request):
    """An order to the worker. Its `id` is chosen once by its author and stays the same at every resend."""

    reply_type: ClassVar[str | None] = None
    """The type of one document that tells all events, where the first alone would not tell what became of it."""

    expirytime: Instant | None = None

    @property
    def ordering_key(self) -> str:
        """What this command must keep its order with: the entity's id, or the command's own where none exists yet."""
        return self.id

    @property
    def ordering_keys(self) -> tuple[str, ...]:
        """Everything that it must keep its order with inside one worker."""
        return (self.ordering_key,)

    @property
    def routing_key(self) -> str:
        """The slot to publish this command to, as two digits."""
        return slot(self.ordering_key)


class Query(Request):
    """A question to any worker; it changes nothing, and nobody remembers it."""


class Event(Envelope):
    """A fact that the worker announces. `id` is the same at every publication: remember it to see each fact once.

    `time` is absent only where a command was set aside before its handler and told no time itself.
    """

    subject: str | None = None
    causationid: MessageId
    data: Any


class Reply(Envelope):
    """An answer to whoever asked, and to nobody else; `causationid` is the question's id, where it could be read."""

    causationid: MessageId | None = None
    data: Any
