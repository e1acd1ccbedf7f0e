"""Finds the command that ends the process: what may be the one is handled alone, and its start is on record first.

The broker's delivery count grows on every bystander, too, and names nobody. A start that its process never ended does,
if whoever starts a suspect holds every permit, so that no other handler of that process is at work.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import uuid4

from sqlalchemy import Delete, Interval, bindparam, delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from worker.failsafe import Failure, caught
from worker.persistence.database import Sessions
from worker.persistence.tables import SUSPECT

_RETRY_SECONDS = 1.0
_FINISH_SECONDS = 1.0

_THIS = SUSPECT.c.command_id == bindparam("id")
_OURS = SUSPECT.c.process_id == bindparam("process")
_START = insert(SUSPECT).on_conflict_do_nothing()
_CRASHES = select(func.count()).select_from(SUSPECT).where(_THIS, ~_OURS)
_END = delete(SUSPECT).where(_THIS, _OURS)
_END_ALL = delete(SUSPECT).where(_OURS)
_FORGET = delete(SUSPECT).where(_THIS)
_FORGET_OLD = delete(SUSPECT).where(SUSPECT.c.started_at < func.now() - bindparam("age", type_=Interval))


class Suspects:
    """Keeps which process started which command, in a table that outlives the process."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._process_id = str(uuid4())
        self._ending: dict[str, asyncio.Task[None]] = {}
        self._has_started = False

    @asynccontextmanager
    async def started(self, command_id: str) -> AsyncIterator[int]:
        """Its start is on record meanwhile; tells how many other processes started it and never ended it.

        A failure of the block, and a cancellation, are ends, too: the process is still there.
        """
        if earlier := self._ending.pop(command_id, None):
            earlier.cancel()
        try:
            yield await self._started(command_id)
        except BaseException:
            self._ending[command_id] = asyncio.create_task(self._ended(command_id))
            raise
        # Nobody begins before: if the next one ended the process, this start would stand there without an end, too.
        await caught(self._execute, _FORGET, id=command_id)  # what stays is pruned one day

    async def finish(self) -> None:
        """This process ends in good order: none of its starts counts, unless the database is away just now."""
        for task in self._ending.values():
            task.cancel()
        if self._has_started:
            await caught(self._end_all)

    @staticmethod
    async def prune(session: AsyncSession, *, older_than_days: float) -> None:
        """What was left behind by processes that never came back to it is forgotten."""
        await session.execute(_FORGET_OLD, {"age": timedelta(days=older_than_days)})

    async def _started(self, command_id: str) -> int:
        self._has_started = True
        async with self._sessions.begin() as session:
            await session.execute(_START, {"command_id": command_id, "process_id": self._process_id})
            found = await session.execute(_CRASHES, {"id": command_id, "process": self._process_id})
            crashes: int = found.scalar_one()
        return crashes

    async def _ended(self, command_id: str) -> None:
        while True:
            ending = await caught(self._execute, _END, id=command_id, process=self._process_id)
            if not isinstance(ending, Failure):
                self._ending.pop(command_id, None)
                return
            await asyncio.sleep(_RETRY_SECONDS)

    async def _end_all(self) -> None:
        async with asyncio.timeout(_FINISH_SECONDS):
            await self._execute(_END_ALL, process=self._process_id)

    async def _execute(self, statement: Delete, **parameters: Any) -> None:
        async with self._sessions.begin() as session:
            await session.execute(statement, parameters)
