"""Tries again in place: the delivery stays unacknowledged and its lane taken, so nothing overtakes it.

Only a statement that a live server refused, or a bug, costs an attempt; while a service is away no budget burns.
"""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from worker.errors import HeldBackError, StatementFailedError, UnavailableError, in_code
from worker.failsafe import Failure, caught
from worker.outcomes import Letter, Reason
from worker.persistence.gate import Gate
from worker.persistence.sqlstate import translated
from worker.watch import Cause, Watch

T = TypeVar("T")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Backoff:
    """`attempts` in all; the pauses between them double and together take at least `total_seconds`."""

    attempts: int
    total_seconds: float

    def pause_seconds(self, failed: int) -> float:
        """How long to wait after so many failed attempts; jitter only ever lengthens it."""
        failed = min(failed, max(1, self.attempts - 1))  # who never gives up goes on at the longest pause
        first = self.total_seconds / max(1, 2 ** (self.attempts - 1) - 1)
        doubled: float = first * 2 ** (failed - 1)
        return doubled * random.uniform(1, 1.25)  # noqa: S311 - no secret


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often to try what a live server refused, and what our own code failed at."""

    refused: Backoff = Backoff(attempts=5, total_seconds=30)
    bug: Backoff = Backoff(attempts=3, total_seconds=30)
    away: Backoff = Backoff(attempts=8, total_seconds=30)

    def backoff(self, cause: Cause) -> Backoff:
        """The one for this cause."""
        return {Cause.REFUSED: self.refused, Cause.BUG: self.bug, Cause.AWAY: self.away}[cause]


class Retry:
    """Runs a piece of work until it has a result."""

    def __init__(self, gate: Gate, policy: RetryPolicy, watch: Watch | None = None) -> None:
        self._gate = gate
        self._policy = policy
        self._watch = watch or Watch()

    async def until_done(
        self, work: Callable[[], Awaitable[T]], give_up: Callable[[Letter], Awaitable[T]] | None = None
    ) -> T:
        """The work's result, or, its attempts spent, that of `give_up`; without `give_up` it is tried for ever."""
        tries = _Tries()
        while True:
            trial = await self._gate.passed()
            try:
                result = await caught(work)
            except BaseException:  # cancelled, as with its channel
                self._gate.undecided(trial)
                raise
            if not isinstance(result, Failure):
                self._gate.well(trial)
                return result
            error = translated(result.error) or result.error
            if isinstance(error, HeldBackError):
                self._gate.undecided(trial)
                await error.room()
            elif isinstance(error, UnavailableError):
                fails_alone = tries.away_at not in {None, self._gate.openings}  # it opened for others in between
                tries.away_at = self._gate.openings
                self._gate.close(str(error), trial)
                self._watch.retried(Cause.AWAY)
                if fails_alone:
                    await asyncio.sleep(self._policy.away.pause_seconds(tries.failed_at(Cause.AWAY)))
            else:
                self._gate.well(trial)
                cause = Cause.REFUSED if isinstance(error, StatementFailedError) else Cause.BUG
                failed = tries.failed_at(cause)
                if give_up and failed >= self._policy.backoff(cause).attempts:
                    return await give_up(_letter(error, failed))
                await self._pause(error, cause, failed)

    async def _pause(self, error: BaseException, cause: Cause, failed: int) -> None:
        self._watch.retried(cause)
        pause_seconds = self._policy.backoff(cause).pause_seconds(failed)
        what = str(error) if cause is Cause.REFUSED else in_code(error)
        _log.warning("attempt %d failed, next in %.1f s: %s", failed, pause_seconds, what)
        await asyncio.sleep(pause_seconds)


@dataclass(slots=True)
class _Tries:
    """What one piece of work has failed at so far."""

    spent: dict[Cause, int] = field(default_factory=dict)
    away_at: int | None = None
    """How often the gate had opened when this work last found a service away."""

    def failed_at(self, cause: Cause) -> int:
        """How often, with this time."""
        self.spent[cause] = self.spent.get(cause, 0) + 1
        return self.spent[cause]


def _letter(error: BaseException, attempts: int) -> Letter:
    """An exception's text may hold values of fields, so only its type is told."""
    if isinstance(error, StatementFailedError):
        return Letter(Reason.RETRIES_EXHAUSTED, str(error), attempts)
    return Letter(Reason.HANDLER_FAILED, f"the handler raised {type(error).__name__}", attempts)
