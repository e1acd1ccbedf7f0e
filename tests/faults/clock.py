"""The time of one run: seconds since it began, and pauses that end early when the run is called off."""

import asyncio
import contextlib
import time
from dataclasses import dataclass, field


@dataclass(slots=True)
class Clock:
    """Starts at its making."""

    _began: float = field(default_factory=time.monotonic)

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    async def passed(self, seconds: float, *, unless: asyncio.Event | None = None) -> None:
        """So much time is over, or the event has come."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await (unless or asyncio.Event()).wait()

    async def reached(self, moment: float) -> None:
        """The run is at least so old; at once, if it is later already."""
        if moment > self.now:
            await self.passed(moment - self.now)
