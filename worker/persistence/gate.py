"""Holds everybody back while a service that every command needs is away: waiting costs time and nothing else.

The gate is closed by whoever meets the outage first. It opens only after every probe has succeeded and one of those who
wait has gone ahead and met no outage either: a probe can't know every table and every right that a command needs.
"""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from contextvars import Context

from worker.errors import in_words
from worker.failsafe import Failure, caught
from worker.persistence.sqlstate import translated
from worker.persistence.trial import Met, Trial

Probe = Callable[[], Awaitable[None]]

_FIRST_PAUSE_SECONDS = 0.2
_LONGEST_PAUSE_SECONDS = 5.0
_PROBE_TIMEOUT_SECONDS = 8.0
_REMINDER_SECONDS = 60.0
_WATCH_SECONDS = 10.0

_log = logging.getLogger(__name__)


class Gate:
    """Open at first. While it is closed one task probes, with capped and jittered backoff; everybody else waits."""

    def __init__(self, probes: Mapping[str, Probe], renew: Callable[[], Awaitable[None]]) -> None:
        self._probes = probes
        self._renew = renew
        self._reason: str | None = None
        self._closed_at = 0.0
        self._closed_before_seconds = 0.0
        self._waiting: deque[asyncio.Future[Trial | None]] = deque()
        self._trials: list[Trial] = []
        self._probing: asyncio.Task[None] | None = None
        self.openings = 0
        self.successes = 0

    @property
    def closed_because(self) -> str | None:
        """What is away; None while the gate is open."""
        return self._reason

    @property
    def closed_seconds(self) -> float:
        """For how long it has been closed; 0 while it is open."""
        return 0.0 if self._reason is None else asyncio.get_running_loop().time() - self._closed_at

    @property
    def all_closed_seconds(self) -> float:
        """For how long it has been closed, all times together."""
        return self._closed_before_seconds + self.closed_seconds

    async def passed(self) -> Trial | None:
        """The gate is open: None; or this one goes ahead, and the outcome of its trial is waited for.

        Whoever passes says with it how it went: by `close`, by `well`, or by `undecided`.
        """
        if self._reason is None:
            return None
        turn: asyncio.Future[Trial | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            return await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.undecided(turn.result())  # it was let pass, and never will
            raise

    def close(self, reason: str, trial: Trial | None = None) -> None:
        """Nobody passes before probes and a trial succeed; only the first of many reports is told."""
        if trial is not None:
            trial.ends(reason)
        if self._reason is not None:
            return
        self._reason = reason
        self._closed_at = asyncio.get_running_loop().time()
        _log.warning("gate closed: %s", reason)
        # In a context of its own: what it logs is not about the command that met the outage first.
        self._probing = asyncio.create_task(self._probe_until_open(), context=Context())

    def well(self, trial: Trial | None) -> None:
        """This one met no outage: was it the trial, the gate opens."""
        self.successes += 1
        if trial is not None:
            trial.ends(Met.A_SERVICE)

    def undecided(self, trial: Trial | None) -> None:
        """This one met no service at all: was it the trial, the next one goes ahead."""
        if trial is not None:
            trial.ends(Met.NOTHING)

    async def watch(self) -> None:
        """Looks from time to time, so that a worker without work knows of an outage, too. Ends only by cancellation."""
        while True:
            await asyncio.sleep(random.uniform(_WATCH_SECONDS / 2, _WATCH_SECONDS))  # noqa: S311 - not a secret
            if self._reason is None and await self._probe_all():
                seen = self.openings
                problem = await self._probe_all()  # once more: the first may have been a hiccup
                if problem and seen == self.openings:
                    self.close(problem)

    async def stop(self) -> None:
        """No probe runs any more; whoever waits goes on waiting."""
        if self._probing is not None:
            self._probing.cancel()
            await asyncio.gather(self._probing, return_exceptions=True)

    async def _probe_until_open(self) -> None:
        loop = asyncio.get_running_loop()
        told_at = loop.time()
        pause_seconds = _FIRST_PAUSE_SECONDS
        while (problem := await self._problem()) is not None:
            self._reason = problem
            if loop.time() - told_at >= _REMINDER_SECONDS:
                told_at = loop.time()
                _log.warning("gate closed for %.0f s: %s", self.closed_seconds, problem)
            # Jitter, so that many workers don't knock on a server that is just getting up at the same moment.
            await asyncio.sleep(random.uniform(pause_seconds / 2, pause_seconds))  # noqa: S311 - not a secret
            pause_seconds = min(2 * pause_seconds, _LONGEST_PAUSE_SECONDS)
        _log.warning("gate open after %.1f s", self.closed_seconds)
        self._closed_before_seconds += self.closed_seconds
        self._reason = None
        self._trials.clear()
        self.openings += 1
        for turn in self._waiting:
            if not turn.done():
                turn.set_result(None)
        self._waiting.clear()

    async def _problem(self) -> str | None:
        """What still keeps the gate closed."""
        if (problem := await self._probe_all()) is not None:
            return problem
        await self._renew()
        return await self._tried()

    async def _probe_all(self) -> str | None:
        for name, probe in self._probes.items():
            result = await caught(_in_time, probe)
            if isinstance(result, Failure):
                return f"{name}: {in_words(translated(result.error) or result.error)}"
        return None

    async def _tried(self) -> str | None:
        """What one of those who wait met, which goes ahead, or one before it that took longer than we waited. Nobody
        waits, nobody can tell: that is well, too.
        """
        while True:
            if turn := self._next_turn():
                self._trials.append(Trial())
                turn.set_result(self._trials[-1])
            if not self._trials:
                return None
            done, _ = await asyncio.wait(
                [trial.met for trial in self._trials],
                timeout=_PROBE_TIMEOUT_SECONDS,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if not done:
                return "the one that went ahead has not come back yet"
            self._trials = [trial for trial in self._trials if trial.met not in done]
            met = done.pop().result()
            if met is not Met.NOTHING:
                return None if met is Met.A_SERVICE else met

    def _next_turn(self) -> "asyncio.Future[Trial | None] | None":
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():  # not cancelled while it waited
                return turn
        return None


async def _in_time(probe: Probe) -> None:
    async with asyncio.timeout(_PROBE_TIMEOUT_SECONDS):
        await probe()
