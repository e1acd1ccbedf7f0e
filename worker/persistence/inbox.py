"""The memory of every handled command: whether it took effect, and what had to be published about it.

Claim and record run in the caller's transaction and never commit: the effect, the outcome and its events become true
together or not at all. Both are for `AsyncSession.run_sync`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import orjson
from sqlalchemy import Interval, Text, Uuid, bindparam, column, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from contracts.envelope import Command
from worker.errors import StatementFailedError
from worker.outcomes import Outcome, OutcomeKind, stored
from worker.persistence.tables import INBOX

_FINGERPRINT_VERSION = b"1\0"
_SERIALIZATION_FAILURE = "40001"

_OLD = INBOX.c.handled_at < func.now() - bindparam("age", type_=Interval)
_OWED = INBOX.c.published_at.is_(None)

_CLAIM = insert(INBOX).on_conflict_do_nothing().returning(func.clock_timestamp())
_LOOK = select(INBOX.c.fingerprint, INBOX.c.outcome, INBOX.c.events, INBOX.c.published_at).where(
    INBOX.c.command_id == bindparam("id")
)
_RECORD = (
    update(INBOX)
    .where(INBOX.c.command_id == bindparam("id"))
    .values(outcome=bindparam("result"), events=bindparam("documents"))
)
_DONE = (
    func.unnest(bindparam("ids", type_=ARRAY(Uuid(as_uuid=False))), bindparam("marks", type_=ARRAY(Text)))
    .table_valued(column("id", Uuid(as_uuid=False)), column("mark", Text), name="done")
    .render_derived()
)
_MARK = (
    update(INBOX)
    .where(INBOX.c.command_id == _DONE.c.id, _OWED)
    .where(func.coalesce(INBOX.c.events[0]["id"].as_string(), "") == _DONE.c.mark)
    .values(published_at=func.now())
)
_UNPUBLISHED = (
    select(INBOX.c.command_id, INBOX.c.outcome, INBOX.c.events)
    .where(_OWED, _OLD, INBOX.c.outcome != OutcomeKind.DEAD_LETTERED.value)
    .order_by(INBOX.c.handled_at)
    .limit(bindparam("n"))
)
_PRUNE = (
    delete(INBOX)
    .where(
        INBOX.c.command_id.in_(
            select(INBOX.c.command_id)
            .where(_OLD, INBOX.c.published_at.is_not(None))
            .limit(bindparam("n"))
            .with_for_update(skip_locked=True)
            .scalar_subquery()
        )
    )
    .returning(INBOX.c.command_id)
)


@dataclass(frozen=True, slots=True)
class Claim:
    """This transaction, and no other, handles the command; `now` is the database's clock at the claim."""

    command_id: str
    now: datetime


class IdReused:
    """The id stands in the inbox with another type or other data."""


def fingerprint(command: Command) -> bytes:
    """Equal for every serialization of the same command: other key order, other whitespace, no matter."""
    data = command.data.model_dump(exclude_unset=True)
    canonical = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    return sha256(_FINGERPRINT_VERSION + command.type.encode() + b"\0" + canonical).digest()


def claim(session: Session, command: Command) -> Claim | Outcome | IdReused:
    """Claims the command, or returns what already became of it. A twin at work is waited for (`lock_timeout`).

    Raises:
        StatementFailedError: the twin's row was pruned between two looks; the next attempt claims it.
    """
    mark = fingerprint(command)
    values = {"command_id": command.id, "command_type": command.type, "fingerprint": mark}
    connection = session.connection()
    now = connection.execute(_CLAIM, values).scalar_one_or_none()
    if now is not None:
        return Claim(command.id, now)
    # A statement sees what was committed before it began, so what the twin wrote shows up only in a new one.
    row = connection.execute(_LOOK, {"id": command.id}).one_or_none()
    if row is None:
        raise StatementFailedError(_SERIALIZATION_FAILURE)
    if row.fingerprint != mark:
        return IdReused()
    return stored(command.id, row.outcome, row.events, published=row.published_at is not None)


def record(session: Session, outcome: Outcome) -> None:
    """The outcome and its events stand in the claimed row once the caller commits."""
    envelopes = [event.envelope for event in outcome.events]
    values = {"id": outcome.command_id, "result": outcome.kind.value, "documents": envelopes}
    session.connection().execute(_RECORD, values)


async def mark_published(session: AsyncSession, marks: Mapping[str, str]) -> None:
    """The rows of these commands owe nothing any more, where they still hold the outcome with this mark."""
    await session.execute(_MARK, {"ids": list(marks), "marks": list(marks.values())})


async def unpublished(session: AsyncSession, *, older_than_seconds: float, at_most: int) -> list[Outcome]:
    """Outcomes that still owe their events after that long, oldest first. Dead letters are not among them: to send one
    again needs the command itself, which comes again with its delivery.
    """
    rows = await session.execute(_UNPUBLISHED, {"age": timedelta(seconds=older_than_seconds), "n": at_most})
    return [stored(row.command_id, row.outcome, row.events, published=False) for row in rows]


async def prune(session: AsyncSession, *, older_than_days: float, at_most: int) -> int:
    """How many old rows are forgotten; none that still owes its events, none that somebody else holds."""
    result = await session.execute(_PRUNE, {"age": timedelta(days=older_than_days), "n": at_most})
    return len(result.all())
