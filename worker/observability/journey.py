"""Follows one delivery from its arrival on: times its steps, counts how it ended, and writes a line where that is news.

A line tells ids, types and reasons; never a body, and nothing that stood in a field of it.
"""

import logging
from datetime import datetime
from time import perf_counter, time
from typing import TYPE_CHECKING

from contracts.envelope import Command, instant
from worker.observability.logging import lines_are_about
from worker.observability.metrics import DUPLICATE, UNKNOWN, Metrics
from worker.observability.recent import Recent
from worker.outcomes import Outcome, OutcomeKind
from worker.watch import Journey, Sighting, Step

if TYPE_CHECKING:  # an extra that may not be installed
    from worker.observability.tracing import ProcessSpan, Tracing

_log = logging.getLogger("worker.settled")

_LEVELS = {
    OutcomeKind.APPLIED: logging.DEBUG,
    OutcomeKind.REJECTED: logging.INFO,
    DUPLICATE: logging.INFO,
    OutcomeKind.DEAD_LETTERED: logging.ERROR,
}


class Followed(Journey):
    """A delivery that is looked at."""

    __slots__ = ("_began", "_metrics", "_outcome", "_recent", "_sent_at", "_sighting", "_span", "_step", "_step_began")

    def __init__(self, sighting: Sighting, metrics: Metrics, recent: Recent, tracing: "Tracing | None") -> None:
        self._sighting = sighting
        self._metrics = metrics
        self._recent = recent
        self._outcome: Outcome | None = None
        self._span: ProcessSpan | None = tracing.process(sighting) if tracing else None
        self._sent_at = _sent_at(sighting)
        if self._sent_at is not None:
            metrics.queue_age.observe(max(0.0, time() - self._sent_at))
        lines_are_about(sighting.traits, self._span.trace_id if self._span else None)
        self._step = Step.WAIT_TURN
        self._began = self._step_began = perf_counter()

    def marked(self, command: Command) -> Command:
        """Its events are caused by this very processing, and say so."""
        if self._span is None or self._span.traceparent is None:
            return command
        return command.model_copy(update={"traceparent": self._span.traceparent, "tracestate": self._span.tracestate})

    def starts(self) -> None:
        """The wait is over."""
        self._next(Step.DECIDE)

    def decided(self, outcome: Outcome) -> None:
        """What came of it is kept until it is settled."""
        self._outcome = outcome
        self._next(Step.PUBLISH)

    def announced(self) -> None:
        """Nothing is owed for it any more; a letter of this very delivery stands in its queue now."""
        if self._outcome is not None and self._outcome.letter and not self._outcome.published:
            self._recent.set_aside(self._sighting.traits, self._outcome.letter)
        self._next(Step.SETTLE)

    def settled(self) -> None:
        """Counted, and told where it is more than a plain success."""
        self._metrics.steps[self._step].observe(perf_counter() - self._step_began)
        if self._outcome is not None:
            self._count(self._outcome)
            self._tell(self._outcome)

    def gone(self) -> None:
        """Its span ends; without an outcome it comes again."""
        if self._span is not None:
            self._span.end(self._outcome)

    def _next(self, step: Step) -> None:
        now = perf_counter()
        self._metrics.steps[self._step].observe(now - self._step_began)
        self._step, self._step_began = step, now

    def _count(self, outcome: Outcome) -> None:
        told = self._sighting.traits.type
        kind = told if told in self._metrics.command_types else UNKNOWN
        self._metrics.commands.labels(kind, _settlement(outcome)).inc()
        if outcome.letter and not outcome.published:
            self._metrics.dead_letters.labels(outcome.letter.reason).inc()
        if self._sighting.is_misrouted:
            self._metrics.misrouted.inc()
        if self._sent_at is not None and not outcome.published:  # otherwise it was over long ago
            self._metrics.critical.observe(max(0.0, time() - self._sent_at))

    def _tell(self, outcome: Outcome) -> None:
        settlement = _settlement(outcome)
        level = _LEVELS[settlement]
        if self._sighting.is_misrouted:
            level = max(level, logging.WARNING)
        if _log.isEnabledFor(level):
            seconds = round(perf_counter() - self._began, 6)
            extra = {"settlement": str(settlement), "seconds": seconds, "queue": self._sighting.queue}
            if outcome.letter:
                extra["detail"] = outcome.letter.detail
            if outcome.body_sha256:  # it may have no id: `heroes dead-letters show` takes this
                extra["letter"] = f"sha256:{outcome.body_sha256}"
            _log.log(level, "%s%s", _words(outcome, settlement), self._slot(), extra=extra)

    def _slot(self) -> str:
        return "; it came in the wrong slot, so its order is not kept" if self._sighting.is_misrouted else ""


def _settlement(outcome: Outcome) -> str:
    return DUPLICATE if outcome.found else outcome.kind


def _words(outcome: Outcome, settlement: str) -> str:
    if outcome.letter:
        return f"{settlement.replace('_', '-')}: {outcome.letter.reason}"
    if outcome.kind is OutcomeKind.REJECTED and outcome.events:
        return f"{settlement}: {outcome.events[0].envelope['data']['code']}"
    return str(settlement)


def _sent_at(sighting: Sighting) -> float | None:
    """When it was published, in seconds: as the command tells, else as the AMQP properties do."""
    told = instant(sighting.traits.time) if sighting.traits.time else sighting.sent_at
    return told.timestamp() if isinstance(told, datetime) else None
