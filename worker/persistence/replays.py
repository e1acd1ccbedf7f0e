"""What a replay must know of the inbox, and the one thing that it may undo there.

A row is taken back only if it says `dead_lettered`, is this very command's and owes nothing any more: whatever took
effect stays remembered, and what is still to be announced stays owed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, delete, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from worker.errors import SchemaError, SettingsError, UnreachableError
from worker.outcomes import OutcomeKind
from worker.persistence.database import Sessions
from worker.persistence.inbox import fingerprint
from worker.persistence.sqlstate import translated
from worker.persistence.tables import INBOX, SUSPECT

LastChange = Callable[[AsyncSession, Sequence[str]], Awaitable[datetime | None]]
"""When any of the entities with these ordering keys last changed, by the database's clock; None if none is there."""

_REFUSALS = ("28", "3D")  # PostgreSQL, appendix A: authorization, no such database
_NO_TABLE = "42P01"
_KNOWN = select(
    INBOX.c.outcome, INBOX.c.fingerprint, INBOX.c.handled_at, INBOX.c.published_at.is_not(None).label("published")
).where(INBOX.c.command_id == bindparam("id"))
_RELEASE = (
    delete(INBOX)
    .where(
        INBOX.c.command_id == bindparam("id"),
        INBOX.c.fingerprint == bindparam("own"),
        INBOX.c.outcome == OutcomeKind.DEAD_LETTERED.value,
        INBOX.c.published_at.is_not(None),
    )
    .returning(INBOX.c.command_id)
)
_FORGET_STARTS = delete(SUSPECT).where(SUSPECT.c.command_id == bindparam("id"))


@dataclass(frozen=True, slots=True)
class Known:
    """What the inbox says of an id. `same`: it was this very command, not another one under its id."""

    outcome: OutcomeKind
    same: bool
    published: bool
    handled_at: datetime


async def known(session: AsyncSession, command_id: str, command: Command | None) -> Known | None:
    """What became of this id so far; None: nothing that is remembered."""
    row = (await session.execute(_KNOWN, {"id": command_id})).one_or_none()
    if row is None:
        return None
    same = command is not None and fingerprint(command) == row.fingerprint
    return Known(OutcomeKind(row.outcome), same, row.published, row.handled_at)


async def release(session: AsyncSession, command: Command) -> bool:
    """The command may be handled anew once the caller commits; False: there was no row that may be taken back."""
    own = {"id": command.id, "own": fingerprint(command)}
    released = (await session.execute(_RELEASE, own)).one_or_none() is not None
    if released:
        await session.execute(_FORGET_STARTS, {"id": command.id})  # or its first crash would be one too many
    return released


@asynccontextmanager
async def asked(sessions: Sessions) -> AsyncIterator[AsyncSession]:
    """One transaction, committed after the block.

    Raises:
        SettingsError: the database refuses the user, the password or its own name.
        SchemaError: it has no tables of ours.
        UnreachableError: it is away, or refused a statement; nothing was changed, or nobody knows.
    """
    try:
        async with sessions.begin() as session:
            yield session
    except (SQLAlchemyError, OSError) as error:
        sqlstate = str(getattr(getattr(error, "orig", None), "sqlstate", None) or "")
        if sqlstate.startswith(_REFUSALS):
            raise SettingsError("HEROES_DATABASE_URL: PostgreSQL refuses this user, password or database") from None
        if sqlstate == _NO_TABLE:
            raise SchemaError("the database has no tables of ours yet", "run heroes setup") from None
        known_error = translated(error)
        raise UnreachableError(
            f"PostgreSQL did not do it ({known_error or type(error).__name__})", "run it again"
        ) from None
