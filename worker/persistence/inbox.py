"""The memory of every handled command: whether it took effect, and what had to be published about it.

Claim and record run in the caller's transaction and never commit: the effect, the outcome and its events become true
together or not at all.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import orjson
from sqlalchemy import Insert, Interval, Select, Update, bindparam, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.dml import ReturningDelete

from contracts.envelope import Command
from worker.errors import StatementFailedError
from worker.outcomes import Outcome, OutcomeKind, stored
from worker.persistence.tables import InboxRow

_FINGERPRINT_VERSION = b"1\0"
_SERIALIZATION_FAILURE = "40001"


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


async def claim(session: AsyncSession, command: Command) -> Claim | Outcome | IdReused:
    """Claims the command, or returns what already became of it. A twin at work is waited for (`lock_timeout`).

    Raises:
        StatementFailedError: the twin's row was pruned between two looks; the next attempt claims it.
    """
    mark = fingerprint(command)
    values = {"command_id": command.id, "command_type": command.type, "fingerprint": mark}
    now = (await session.execute(_CLAIM, values)).scalar_one_or_none()
    if now is not None:
        return Claim(command.id, now)
    # A statement sees what was committed before it began, so what the twin wrote shows up only in a new one.
    row = (await session.execute(_LOOK, {"id": command.id})).one_or_none()
    if row is None:
        raise StatementFailedError(_SERIALIZATION_FAILURE)
    if row.fingerprint != mark:
        return IdReused()
    return stored(command.id, row.outcome, row.events, published=row.published_at is not None)


async def record(session: AsyncSession, outcome: Outcome) -> None:
    """The outcome and its events stand in the claimed row once the caller commits."""
    envelopes = [event.envelope for event in outcome.events]
    await session.execute(_RECORD, {"id": outcome.command_id, "result": outcome.kind.value, "documents": envelopes})


async def mark_published(session: AsyncSession, command_ids: Sequence[str]) -> None:
    """These rows owe nothing any more."""
    await session.execute(_MARK, {"ids": list(command_ids)})


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


def _claim_statement() -> Insert:
    return insert(InboxRow).on_conflict_do_nothing().returning(func.clock_timestamp())


def _look_statement() -> Select[tuple[bytes, str | None, object, datetime | None]]:
    columns = (InboxRow.fingerprint, InboxRow.outcome, InboxRow.events, InboxRow.published_at)
    return select(*columns).where(InboxRow.command_id == bindparam("id"))


def _record_statement() -> Update:
    values: dict[str, Any] = {"outcome": bindparam("result"), "events": bindparam("documents")}
    return update(InboxRow).where(InboxRow.command_id == bindparam("id")).values(values)


def _mark_statement() -> Update:
    owed = InboxRow.command_id == func.any(bindparam("ids")), InboxRow.published_at.is_(None)
    return update(InboxRow).where(*owed).values(published_at=func.now())


def _unpublished_statement() -> Select[tuple[str, str | None, object]]:
    old = InboxRow.handled_at < func.now() - bindparam("age", type_=Interval)
    owed = InboxRow.published_at.is_(None), InboxRow.outcome != OutcomeKind.DEAD_LETTERED.value, old
    columns = (InboxRow.command_id, InboxRow.outcome, InboxRow.events)
    return select(*columns).where(*owed).order_by(InboxRow.handled_at).limit(bindparam("n"))


def _prune_statement() -> ReturningDelete[str]:
    old = InboxRow.handled_at < func.now() - bindparam("age", type_=Interval)
    some = select(InboxRow.command_id).where(old, InboxRow.published_at.is_not(None)).limit(bindparam("n"))
    locked = some.with_for_update(skip_locked=True).scalar_subquery()
    return delete(InboxRow).where(InboxRow.command_id.in_(locked)).returning(InboxRow.command_id)


_CLAIM = _claim_statement()
_LOOK = _look_statement()
_RECORD = _record_statement()
_MARK = _mark_statement()
_UNPUBLISHED = _unpublished_statement()
_PRUNE = _prune_statement()
