"""What the inbox still owes: outcomes whose events are not known to be published."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from worker.persistence.tables import INBOX

_OWED = select(
    func.count().label("owed"),
    func.extract("epoch", func.clock_timestamp() - func.min(INBOX.c.handled_at)).label("age"),
).where(INBOX.c.published_at.is_(None))


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many rows, and the age of the oldest; some of the last moment are as it should be."""

    rows: int
    oldest_seconds: float | None


async def backlog(session: AsyncSession) -> Backlog:
    """As it is now; an index holds just these rows, so that it costs next to nothing."""
    row: Any = (await session.execute(_OWED)).one()
    return Backlog(row.owed, None if row.age is None else float(row.age))
