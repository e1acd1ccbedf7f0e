"""Marks rows as published, in groups and off the way of the commands.

A row whose events are confirmed but which is not marked yet is remembered here, so that a twin publishes nothing; if
the process dies before the mark, the events are published once more, with the same ids.

What is remembered is the outcome, not the command alone: a dead letter that is replayed gets a new outcome under the
same id, and a mark that comes late must never say of that one that its events are out.
"""

import asyncio
import logging
from collections.abc import Iterator, Mapping

from worker.failsafe import Failure, caught
from worker.outcomes import Outcome
from worker.persistence import inbox
from worker.persistence.database import Sessions

_GROUP_SECONDS = 0.1
_GROUP_SIZE = 500
_RETRY_SECONDS = 1.0

_log = logging.getLogger(__name__)


class Marker:
    """Remembers what is confirmed until its row says so. Ask it before the inbox: a mark may come between the two."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._unmarked: dict[str, str] = {}
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def remembered(self, command_id: str | None) -> str | None:
        """The mark of the outcome of this command that is confirmed and waits to be marked, if there is one."""
        return self._unmarked.get(command_id) if command_id else None

    def confirmed(self, outcome: Outcome) -> None:
        """The outcome's events are with the broker; its row, if it has one, will say so soon."""
        if outcome.recorded and outcome.command_id:
            self._unmarked[outcome.command_id] = outcome.mark
            self._wake.set()

    async def run(self) -> None:
        """Marks group after group; ends only by cancellation."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(_GROUP_SECONDS)
            self._wake.clear()
            if not await self.flush():
                await asyncio.sleep(_RETRY_SECONDS)

    async def flush(self) -> bool:
        """Every row remembered so far is marked; False: the database is away, and they stay remembered."""
        async with self._one_at_a_time:
            for group in _batched(self._unmarked, _GROUP_SIZE):
                failure = await caught(self._mark, group)
                if isinstance(failure, Failure):
                    _log.debug("marking %d rows failed: %s", len(group), type(failure.error).__name__)
                    self._wake.set()
                    return False
                for command_id, mark in group.items():
                    if self._unmarked[command_id] == mark:  # not another outcome, confirmed meanwhile
                        del self._unmarked[command_id]
        return True

    async def _mark(self, marks: Mapping[str, str]) -> None:
        async with self._sessions.begin() as session:
            await inbox.mark_published(session, marks)


def _batched(marks: Mapping[str, str], size: int) -> Iterator[dict[str, str]]:
    """What is there now, in groups of at most this size."""
    items = list(marks.items())
    for start in range(0, len(items), size):
        yield dict(items[start : start + size])
