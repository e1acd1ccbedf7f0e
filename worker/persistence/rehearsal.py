"""Tells whether an outage is over where nobody waits any more to try: what failed last is tried without its effect.

It holds up the others only so long, should it be the only one that fails: each time twice as long as before.
"""

import asyncio
from collections.abc import Awaitable, Callable

from worker.errors import UnavailableError
from worker.failsafe import Failure, caught
from worker.persistence.sqlstate import translated

_AT_MOST_SECONDS = 8.0
_PATIENCE_SECONDS = 60.0
_LONGEST_PATIENCE_SECONDS = 6 * 3600.0

Work = Callable[[], Awaitable[object]]
"""Meets what a piece of work would meet, and leaves nothing behind that may not happen twice."""


class Rehearsal:
    """Of what failed last, if that can be rehearsed."""

    def __init__(self) -> None:
        self._work: Work | None = None
        self._began_at: float | None = None
        self.patience_seconds = _PATIENCE_SECONDS

    def keep(self, work: Work | None) -> None:
        """This failed last; None: it can't be rehearsed, so nobody can tell."""
        self._work = work

    def forget(self) -> None:
        """The gate is open: the next outage is another one."""
        self._work = self._began_at = None

    def well(self) -> None:
        """Somebody met no outage: patience begins anew."""
        self.patience_seconds = _PATIENCE_SECONDS

    async def problem(self) -> str | None:
        """Why it would be in vain to let anybody go on; None also where it can't tell, or has told so for too long."""
        result = await caught(self._in_time, self._work) if self._work else None
        error = (translated(result.error) or result.error) if isinstance(result, Failure) else None
        if not isinstance(error, UnavailableError):
            return None
        now = asyncio.get_running_loop().time()
        self._began_at = now if self._began_at is None else self._began_at
        if now - self._began_at < self.patience_seconds:
            return str(error)
        self.patience_seconds = min(2 * self.patience_seconds, _LONGEST_PATIENCE_SECONDS)
        return None

    @staticmethod
    async def _in_time(work: Work) -> None:
        async with asyncio.timeout(_AT_MOST_SECONDS):
            await work()
