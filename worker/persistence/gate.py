"""Holds everybody back while a service that every command needs is away: waiting costs time and nothing else.

The gate opens only after every probe has succeeded; it is closed by whoever meets the outage first.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Sequence

from worker.failsafe import caught

Probe = Callable[[], Awaitable[None]]

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_PROBE_TIMEOUT_SECONDS = 8.0
_REMINDER_SECONDS = 60.0

_log = logging.getLogger(__name__)


class Gate:
    """Open at first. While it is closed one task probes, with capped and jittered backoff; everybody else waits."""

    def __init__(self, probes: Sequence[Probe], renew: Callable[[], Awaitable[None]]) -> None:
        self._probes = probes
        self._renew = renew
        self._open = asyncio.Event()
        self._open.set()
        self._reason: str | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def closed_because(self) -> str | None:
        """What is away; None while the gate is open."""
        return self._reason

    async def passed(self) -> None:
        """The gate is open."""
        await self._open.wait()

    def close(self, reason: str) -> None:
        """Nobody passes before the probes succeed; only the first of many reports is told."""
        if self._reason is not None:
            return
        self._reason = reason
        self._open.clear()
        _log.warning("gate closed: %s", reason)
        self._probing = asyncio.create_task(self._probe_until_open())

    async def stop(self) -> None:
        """No probe runs any more; whoever waits goes on waiting."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe_until_open(self) -> None:
        loop = asyncio.get_running_loop()
        closed_at = told_at = loop.time()
        pause_seconds = _FIRST_PAUSE_SECONDS
        while (failure := await caught(self._probe_all())) is not None:
            if loop.time() - told_at >= _REMINDER_SECONDS:
                told_at = loop.time()
                _log.warning("gate closed for %.0f s: %s", told_at - closed_at, failure.error)
            # Full jitter, so that many workers don't knock on a server that is just getting up at the same moment.
            await asyncio.sleep(random.uniform(pause_seconds / 2, pause_seconds))  # noqa: S311 - not a secret
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        self._reason = None
        self._open.set()
        _log.warning("gate open after %.1f s", loop.time() - closed_at)

    async def _probe_all(self) -> None:
        for probe in self._probes:
            async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
                await probe()
        await self._renew()
