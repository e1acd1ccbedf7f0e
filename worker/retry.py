"""Tries again in place: the delivery stays unacknowledged and its lane taken, so nothing overtakes it.

Only a statement that a live server refused, or a bug, costs an attempt; while a service is away no budget burns.
"""

import asyncio
import logging
import random
import traceback
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from worker.errors import HeldBackError, StatementFailedError, UnavailableError
from worker.failsafe import Failure, caught
from worker.outcomes import Letter, Reason
from worker.persistence.gate import Gate
from worker.persistence.sqlstate import translated
from worker.watch import Watch

T = TypeVar("T")

_SHOWN_FRAMES = 5

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


class Cause(StrEnum):
    """What an attempt failed at; each has a budget of its own."""

    REFUSED = "refused"
    BUG = "bug"
    AWAY = "away"


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
        spent: defaultdict[Cause, int] = defaultdict(int)
        openings: int | None = None  # of the gate, when this work last found a service away
        while True:
            is_trial = await self._gate.passed()
            result = await caught(work)
            if not isinstance(result, Failure):
                self._gate.well()
                return result
            error = translated(result.error) or result.error
            if isinstance(error, HeldBackError):
                if is_trial:
                    self._gate.undecided()
                await error.over()
                continue
            cause = _cause(error)
            if cause is Cause.AWAY:
                self._watch.retried(cause)
                failed_again = openings not in {None, self._gate.openings}
                openings = self._gate.openings
                self._gate.close(str(error))
                if failed_again:  # all is well for others: it is this work alone that fails
                    spent[cause] += 1
                    await asyncio.sleep(self._policy.backoff(cause).pause_seconds(spent[cause]))
                continue
            self._gate.well()
            spent[cause] += 1
            if give_up and spent[cause] >= self._policy.backoff(cause).attempts:
                return await give_up(_letter(error, spent[cause]))
            self._watch.retried(cause)
            await self._pause(error, cause, spent[cause])

    async def _pause(self, error: Exception, cause: Cause, failed: int) -> None:
        pause_seconds = self._policy.backoff(cause).pause_seconds(failed)
        what = str(error) if cause is Cause.REFUSED else _where(error)
        _log.warning("attempt %d failed, next in %.1f s: %s", failed, pause_seconds, what)
        await asyncio.sleep(pause_seconds)


def _cause(error: Exception) -> Cause:
    if isinstance(error, UnavailableError):
        return Cause.AWAY
    return Cause.REFUSED if isinstance(error, StatementFailedError) else Cause.BUG


def _where(error: BaseException, causes: int = 3) -> str:
    """The error's type and the lines of code on its way, innermost last; its text may quote values of fields."""
    frames = traceback.extract_tb(error.__traceback__, limit=-_SHOWN_FRAMES)
    lines = [f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames]
    cause = error.__cause__ or error.__context__
    return f"{type(error).__name__} at {' > '.join(lines)}" + (
        f", from {_where(cause, causes - 1)}" if cause and causes else ""
    )


def _letter(error: Exception, attempts: int) -> Letter:
    """An exception's text may hold values of fields, so only its type is told."""
    if isinstance(error, StatementFailedError):
        return Letter(Reason.RETRIES_EXHAUSTED, str(error), attempts)
    return Letter(Reason.HANDLER_FAILED, f"the handler raised {type(error).__name__}", attempts)
