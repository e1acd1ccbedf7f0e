"""Publishes what a crash left unpublished, for the rare row whose command never comes again, and forgets old rows.

No transaction and no lock is held while it publishes: a repeat is allowed, a stuck lock is not. A row that still owes
its events is never forgotten.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from worker.failsafe import Failure, caught
from worker.messaging.publisher import EventPublisher
from worker.persistence import inbox
from worker.persistence.backlog import backlog
from worker.persistence.database import Sessions
from worker.persistence.gate import Gate
from worker.persistence.marker import Marker
from worker.persistence.suspects import Suspects
from worker.watch import Watch

_BATCH = 10  # all of it stands in memory, and a row may hold a thousand events
_PRUNED_AT_ONCE = 1000
_PRUNE_PAUSE_SECONDS = 0.1
_LOOK_SECONDS = 30.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sweeper:
    """Runs beside the commands for as long as the worker lives."""

    sessions: Sessions
    events: EventPublisher
    marker: Marker
    gate: Gate
    sweep_after_seconds: float
    retention_days: float
    watch: Watch = field(default_factory=Watch)

    async def run(self) -> None:
        """Sweeps and prunes for ever; a failure is logged and the next round comes. Ends only by cancellation."""
        round_seconds = self.sweep_after_seconds / 2
        loop = asyncio.get_running_loop()
        due_at = loop.time() + round_seconds
        while True:
            if self.gate.closed_because is None:
                if loop.time() >= due_at:
                    await self._round()
                    due_at = loop.time() + round_seconds
                await self._did(self.look)
            await asyncio.sleep(min(round_seconds, _LOOK_SECONDS))

    async def look(self) -> None:
        """Whoever looks on knows what the inbox owes just now."""
        async with self.sessions() as session:
            owed = await backlog(session)
        self.watch.owed(owed.rows, owed.oldest_seconds or 0.0)

    async def _round(self) -> None:
        went_well = [await self._did(work) for work in (self.sweep, self.prune)]
        if all(went_well):
            self.watch.tidied()

    @staticmethod
    async def _did(work: Callable[[], Awaitable[object]]) -> bool:
        result = await caught(work)
        if isinstance(result, Failure):
            name = getattr(work, "__name__", "work")
            _log.warning("%s failed and is tried again next time: %s", name, type(result.error).__name__)
        return not isinstance(result, Failure)

    async def sweep(self) -> int:
        """Everything that was unpublished for too long is published; says how many commands that were."""
        swept = 0
        while True:
            async with self.sessions() as session:
                found = await inbox.unpublished(session, older_than_seconds=self.sweep_after_seconds, at_most=_BATCH)
            owed = [outcome for outcome in found if self.marker.remembered(outcome.command_id) != outcome.mark]
            for outcome in owed:
                await self.events.publish(outcome.events)
                self.marker.confirmed(outcome)
            swept += len(owed)
            if len(found) < _BATCH or not await self.marker.flush():  # unmarked, the same rows would be found again
                break
        self.watch.swept(swept)
        if swept:
            _log.warning("published the events of %d commands that had stood unpublished", swept)
        return swept

    async def prune(self) -> int:
        """Rows older than the retention are gone; each batch is a short transaction of its own."""
        pruned = 0
        while True:
            async with self.sessions.begin() as session:
                batch = await inbox.prune(session, older_than_days=self.retention_days, at_most=_PRUNED_AT_ONCE)
            pruned += batch
            if batch < _PRUNED_AT_ONCE:
                break
            await asyncio.sleep(_PRUNE_PAUSE_SECONDS)
        async with self.sessions.begin() as session:
            await Suspects.prune(session, older_than_days=self.retention_days)
        self.watch.pruned(pruned)
        return pruned
