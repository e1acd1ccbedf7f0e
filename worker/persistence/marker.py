"""Marks rows as published, in groups and off the way of the commands.

A row whose events are confirmed but which is not marked yet is remembered here, so that a twin publishes nothing; if
the process dies before the mark, the events are published once more, with the same ids.
"""

import asyncio
import logging
from collections.abc import Iterator, Sequence

from worker.failsafe import Failure, caught
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
        self._unmarked: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._one_at_a_time = asyncio.Lock()

    def __contains__(self, command_id: str | None) -> bool:
        return command_id in self._unmarked

    def confirmed(self, command_id: str) -> None:
        """The command's events are with the broker; its row will say so soon."""
        self._unmarked[command_id] = None
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
            for group in _batched(list(self._unmarked), _GROUP_SIZE):
                failure = await caught(self._mark, group)
                if isinstance(failure, Failure):
                    _log.debug("marking %d rows failed: %s", len(group), type(failure.error).__name__)
                    self._wake.set()
                    return False
                for command_id in group:
                    del self._unmarked[command_id]
        return True

    async def _mark(self, command_ids: Sequence[str]) -> None:
        async with self._sessions.begin() as session:
            await inbox.mark_published(session, command_ids)


def _batched(ids: list[str], size: int) -> Iterator[list[str]]:
    """The ids in groups of at most this size."""
    for start in range(0, len(ids), size):
        yield ids[start : start + size]
