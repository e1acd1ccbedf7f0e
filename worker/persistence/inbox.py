"""The memory of every handled command: whether it took effect, and what had to be published about it.

Claim and record run in the caller's transaction and never commit: the effect, the outcome and its events become true
together or not at all. Both speak to the driver: SQLAlchemy's way to it costs as much as the statement itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256

import orjson
from sqlalchemy import Interval, Text, Uuid, bindparam, column, delete, func, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from worker.errors import StatementFailedError
from worker.outcomes import Outcome, OutcomeKind, stored
from worker.persistence.tables import INBOX
from worker.persistence.transactions import Driver

_FINGERPRINT_VERSION = b"1\0"
_SERIALIZATION_FAILURE = "40001"

_OLD = INBOX.c.handled_at < func.now() - bindparam("age", type_=Interval)
_OWED = INBOX.c.published_at.is_(None)

_CLAIM = """
    INSERT INTO inbox (command_id, command_type, fingerprint) VALUES ($1, $2, $3)
    ON CONFLICT DO NOTHING RETURNING clock_timestamp()"""
_LOOK = "SELECT fingerprint, outcome, events, published_at FROM inbox WHERE command_id = $1"
_ONE_ROW = "UPDATE 1"
_RECORD = "UPDATE inbox SET outcome = $2, events = $3 WHERE command_id = $1"
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

    command: Command
    now: datetime


class IdReused:
    """The id stands in the inbox with another type or other data."""


def fingerprint(command: Command) -> bytes:
    """Equal for every serialization of the same command: other key order, other whitespace, no matter."""
    data = command.data.model_dump(exclude_unset=True)
    canonical = orjson.dumps(data, option=orjson.OPT_SORT_KEYS)
    return sha256(_FINGERPRINT_VERSION + command.type.encode() + b"\0" + canonical).digest()


async def claim(driver: Driver, command: Command) -> Claim | Outcome | IdReused:
    """Claims the command, or returns what already became of it. A twin at work is waited for (`lock_timeout`).

    Raises:
        StatementFailedError: the twin's row was pruned between two looks; the next attempt claims it.
    """
    own = fingerprint(command)
    now = await driver.fetchval(_CLAIM, command.id, command.type, own)
    if now is not None:
        return Claim(command, now)
    # A statement sees what was committed before it began, so what the twin wrote shows up only in a new one.
    row = await driver.fetchrow(_LOOK, command.id)
    if row is None:
        raise StatementFailedError(_SERIALIZATION_FAILURE)
    if row["fingerprint"] != own:
        return IdReused()
    published = row["published_at"] is not None
    return stored(command.id, row["outcome"], row["events"], published=published)


async def record(driver: Driver, outcome: Outcome) -> None:
    """The outcome and its events stand in the claimed row once the caller commits.

    Raises:
        RuntimeError: the handler has ended the transaction behind our back.
    """
    documents = b"[" + b",".join(event.body for event in outcome.events) + b"]"
    if driver.is_in_transaction():
        done = await driver.execute(_RECORD, outcome.command_id, outcome.kind.value, documents.decode())
        if done == _ONE_ROW:
            return
    raise RuntimeError("a handler has ended its transaction")


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
