"""What became of a command, and the events that announce it.

An outcome is final for its command's id, and an event document never changes once it is made: both are stored and
published again from the store, byte for byte the same.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from uuid import NAMESPACE_URL, uuid4, uuid5

from contracts.channels import COMMAND_DEAD_LETTERED, COMMAND_REJECTED
from contracts.envelope import Command
from worker.documents import SOURCE, EventDocument

_DETAIL_BYTES = 2000
# W3C Trace Context: version, trace, parent, flags, and in later versions more. Ids of zeros are no trace.
_TRACEPARENT = re.compile(
    r"(?!ff)(?!00.{54})[0-9a-f]{2}-(?P<trace_id>(?!0{32})[0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-[ -~]*)?"
)


class OutcomeKind(StrEnum):
    """How a command ended."""

    APPLIED = "applied"
    REJECTED = "rejected"
    DEAD_LETTERED = "dead_lettered"


class Reason(StrEnum):
    """Why a command was set aside, as it stands on the dead letter."""

    INVALID_COMMAND = "invalid_command"
    UNKNOWN_TYPE = "unknown_type"
    ID_REUSED = "id_reused"
    RETRIES_EXHAUSTED = "retries_exhausted"
    HANDLER_FAILED = "handler_failed"
    CRASHED_WORKER = "crashed_worker"


HOPELESS = frozenset({Reason.INVALID_COMMAND, Reason.ID_REUSED})
"""The same bytes sent again end in the same way."""


@dataclass(frozen=True, slots=True)
class Fact:
    """Something that a handler made true: the event to announce, about `subject`."""

    type: str
    subject: str | None
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rejection:
    """A handler's business no: nothing was changed. `operation` tells which one of several it is about."""

    code: str
    detail: str
    subject: str | None = None
    operation: int | None = None


Handled = Sequence[Fact] | Rejection
"""What a handler returns. It never commits and never publishes."""


@dataclass(frozen=True, slots=True)
class Letter:
    """What stands on a dead letter besides the command itself."""

    reason: str
    detail: str
    attempts: int | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a command ended and what must be published about it.

    `recorded` outcomes stand in the inbox; `found` ones stood there before this delivery came.
    """

    command_id: str | None
    kind: OutcomeKind
    events: tuple[EventDocument, ...]
    letter: Letter | None = None
    recorded: bool = True
    found: bool = False
    published: bool = False
    body_sha256: str | None = None
    """Of one that was never recorded: by this its letter is found, whatever it says."""

    @property
    def mark(self) -> str:
        """Tells this outcome from an earlier or later one of the same command: its first event's id, if it has any."""
        return str(self.events[0].envelope["id"]) if self.events else ""


def applied(command: Command, facts: Sequence[Fact], time: str) -> Outcome:
    """The command took effect: one event for each fact, in order."""
    events = tuple(_event(command, fact, time) for fact in facts)
    return Outcome(command.id, OutcomeKind.APPLIED, events)


def rejected(command: Command, rejection: Rejection, time: str) -> Outcome:
    """The command changed nothing: one event says why."""
    data: dict[str, Any] = {"command_type": command.type, "code": rejection.code, "detail": rejection.detail}
    if rejection.operation is not None:
        data["operation"] = rejection.operation
    event = _event(command, Fact(COMMAND_REJECTED, rejection.subject, data), time)
    return Outcome(command.id, OutcomeKind.REJECTED, (event,))


def dead_lettered(command: Command, letter: Letter, time: str) -> Outcome:
    """The command reached its handler and was given up: recorded, set aside and announced."""
    data = {"command_type": command.type, "reason": letter.reason, "detail": letter.detail}
    event = _event(command, Fact(COMMAND_DEAD_LETTERED, None, data), time)
    return Outcome(command.id, OutcomeKind.DEAD_LETTERED, (event,), letter)


@dataclass(frozen=True, slots=True)
class Traits:
    """What could be read of a message, whether or not it is one of ours."""

    command_id: str | None = None
    type: str | None = None
    time: str | None = None
    correlation_id: str | None = None
    traceparent: str | None = None
    tracestate: str | None = None


def set_aside(traits: Traits, letter: Letter, body_sha256: str) -> Outcome:
    """A message that never reached the handler: no row; its event, if an id could be read, is the same each time."""
    if traits.command_id is None:
        return Outcome(None, OutcomeKind.DEAD_LETTERED, (), letter, recorded=False, body_sha256=body_sha256)
    data = {"reason": letter.reason, "detail": letter.detail}
    envelope = {
        "specversion": "1.0",
        "id": str(uuid5(NAMESPACE_URL, f"{traits.command_id}/{letter.reason}/{body_sha256}")),
        "source": SOURCE,
        "type": COMMAND_DEAD_LETTERED,
        "datacontenttype": "application/json",
        "correlationid": traits.correlation_id or traits.command_id,
        "causationid": traits.command_id,
        "data": data | ({"command_type": traits.type} if traits.type else {}),
    } | ({"time": traits.time} if traits.time else {})
    event = EventDocument.of(envelope | _trace(traits.traceparent, traits.tracestate))
    return Outcome(
        traits.command_id, OutcomeKind.DEAD_LETTERED, (event,), letter, recorded=False, body_sha256=body_sha256
    )


def stored(command_id: str, kind: str, envelopes: Sequence[Mapping[str, Any]], *, published: bool) -> Outcome:
    """An outcome as it stands in the inbox; the letter of a dead-lettered one is made again from its event."""
    events = tuple(EventDocument.of(envelope) for envelope in envelopes)
    letter = None
    if kind == OutcomeKind.DEAD_LETTERED:
        data = envelopes[0]["data"]
        letter = Letter(data["reason"], data["detail"])
    return Outcome(command_id, OutcomeKind(kind), events, letter, found=True, published=published)


def shortened(detail: str) -> str:
    """At most 2 kB, so that it fits a header wherever it goes."""
    return detail.encode()[:_DETAIL_BYTES].decode(errors="ignore")


def _event(command: Command, fact: Fact, time: str) -> EventDocument:
    envelope: dict[str, Any] = {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": SOURCE,
        "type": fact.type,
        "time": time,
        "datacontenttype": "application/json",
        "correlationid": command.correlationid or command.id,
        "causationid": command.id,
        "data": fact.data,
    }
    if fact.subject is not None:
        envelope["subject"] = fact.subject
    return EventDocument.of(envelope | _trace(command.traceparent, command.tracestate))


def trace_id(traceparent: str | None) -> str | None:
    """The trace that it names; None where it is none of the W3C's form, and is ignored."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    return found["trace_id"] if found else None


def _trace(traceparent: str | None, tracestate: str | None) -> dict[str, str]:
    """What an event carries on of its command's trace."""
    if traceparent is None or trace_id(traceparent) is None:
        return {}
    return {"traceparent": traceparent} | ({"tracestate": tracestate} if tracestate else {})
