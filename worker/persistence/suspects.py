"""Finds the command that ends the process: what may be the one is handled alone, and its start is on record first.

The broker's delivery count grows on every bystander, too, and names nobody. Two starts without an end do: whoever
starts a suspect holds every permit, so no other command of this process can be what ended it.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from sqlalchemy import Delete, Interval, Update, bindparam, delete, func, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from worker.failsafe import Failure, caught
from worker.persistence.database import Sessions
from worker.persistence.permits import Permits
from worker.persistence.tables import SUSPECT

_RETRY_SECONDS = 1.0
_FINISH_SECONDS = 1.0

_HIT = SUSPECT.c.command_id == bindparam("id")
_FIRST = insert(SUSPECT).values(command_id=bindparam("id"), starts=1)
_START = _FIRST.on_conflict_do_update(
    index_elements=[SUSPECT.c.command_id], set_={"starts": SUSPECT.c.starts + 1, "last_start": func.now()}
).returning(SUSPECT.c.starts)
_END = update(SUSPECT).where(_HIT).values(starts=SUSPECT.c.starts - 1)
_FORGET = delete(SUSPECT).where(_HIT)
_FORGET_OLD = delete(SUSPECT).where(SUSPECT.c.last_start < func.now() - bindparam("age", type_=Interval))


class Suspects:
    """Counts starts and ends in a table that outlives the process."""

    def __init__(self, sessions: Sessions, permits: Permits) -> None:
        self._sessions = sessions
        self._permits = permits
        self._ending: dict[str, asyncio.Task[None]] = {}

    @asynccontextmanager
    async def alone(self, command_id: str) -> AsyncIterator[int]:
        """No other command is at work meanwhile; tells how many earlier starts of this one never came to an end.

        A failure of the block, and a cancellation, are ends, too: the process is still there.
        """
        async with self._permits.all():
            if earlier := self._ending.get(command_id):
                await asyncio.wait({earlier})
            starts = await self._started(command_id)
            try:
                yield starts - 1
            except BaseException:
                task = asyncio.create_task(self._ended(command_id))
                self._ending[command_id] = task
                task.add_done_callback(lambda _: self._ending.pop(command_id, None))
                raise
        await caught(self._execute(_FORGET, command_id))  # what stays is pruned one day

    async def finish(self) -> None:
        """Every end is on record, or given up after a moment: then it counts as one start more."""
        if self._ending:
            await asyncio.wait(self._ending.values(), timeout=_FINISH_SECONDS)

    @staticmethod
    async def prune(session: AsyncSession, *, older_than_days: float) -> None:
        """What was left behind by processes that never came back to it is forgotten."""
        await session.execute(_FORGET_OLD, {"age": timedelta(days=older_than_days)})

    async def _started(self, command_id: str) -> int:
        async with self._sessions.begin() as session:
            starts: int = (await session.execute(_START, {"id": command_id})).scalar_one()
        return starts

    async def _ended(self, command_id: str) -> None:
        while True:
            if not isinstance(await caught(self._execute(_END, command_id)), Failure):
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _execute(self, statement: Update | Delete, command_id: str) -> None:
        async with self._sessions.begin() as session:
            await session.execute(statement, {"id": command_id})
