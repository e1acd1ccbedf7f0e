"""Keeps the command queues attended: consumes again whatever was lost, and lets go of everything in a long outage.

What is held unacknowledged for too long, the broker takes back and counts against the command; so a worker that can't
work gives it back once, and takes it up again when its gate opens.
"""

import asyncio
import logging
import random
from dataclasses import dataclass, field

from worker.failsafe import Failure, caught
from worker.messaging.intake import Intake
from worker.persistence.gate import Gate

_LOOK_SECONDS = 1.0

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attendance:
    """Runs beside the commands for as long as the worker takes them."""

    intake: Intake
    gate: Gate
    release_after_seconds: float
    _lost: list[str] = field(default_factory=list)
    _released_at: int | None = None

    async def run(self) -> None:
        """Looks for ever; ends only by cancellation."""
        while True:
            # Not all workers at the same moment, say after a restart of the broker.
            await asyncio.sleep(random.uniform(0.5, 1) * _LOOK_SECONDS)  # noqa: S311 - not a secret
            failure = await caught(self.look)
            if isinstance(failure, Failure):
                _log.warning("looking after the queues failed: %s", type(failure.error).__name__)

    async def look(self) -> None:
        """Every queue is consumed; or none is, while an outage lasts."""
        closed_seconds = self.gate.closed_seconds
        # Where nothing has succeeded since the last time, it is still the same outage: once is enough.
        if closed_seconds >= self.release_after_seconds and self.gate.successes != self._released_at:
            _log.warning("an outage of %.0f s: commands in hand go back to their queues", closed_seconds)
            await self.intake.release()
            self._released_at = self.gate.successes
        elif not (self.intake.is_released and self.gate.closed_because):
            self._tell(await self.intake.attach())

    def _tell(self, lost: list[str]) -> None:
        """A line when queues are lost and one when all are back; not one for each look."""
        if lost and not self._lost:
            _log.warning("can't consume %s: is the broker there, and was heroes setup run?", ", ".join(lost))
        elif self._lost and not lost:
            _log.warning("all queues are consumed again")
        self._lost = lost
