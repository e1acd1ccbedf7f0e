"""What was wanted, beside what a run found.

Invariant: a goal without a figure is missed, never met in silence.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import Any

from benchmarks.contestants import WORKER
from benchmarks.section import number
from benchmarks.topics.backlog import thirds_of
from benchmarks.topics.latency import CARRIED, HALF_LOAD, at_load

_LARGEST_BATCH = "1000"

Figures = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Goal:
    """One thing that was wanted; NaN where it was not measured."""

    says: str
    wanted: float
    measured: float
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """In a word."""
        if isnan(self.measured):
            return "not measured"
        met = self.measured <= self.wanted if self.at_most else self.measured >= self.wanted
        return "reached" if met else "missed"

    def cells(self) -> tuple[str, ...]:
        """For a table."""
        bound = "at most" if self.at_most else "at least"
        return (self.says, f"{bound} {self.wanted:g}", number(self.measured, 2), self.verdict)


def goals(figures: Figures) -> tuple[Goal, ...]:
    """Every goal, beside the figures of these sections."""
    creates, backlog = figures.get("creates", {}), figures.get("backlog", {})
    rates, memory = backlog.get("rates") or [nan], backlog.get("resident_bytes") or [nan]
    carried = _at(figures, "latency", "timings", at_load(CARRIED, WORKER))
    ours = getattr(carried, "per_second", nan)  # with its publisher on the same cores, as the client of HTTP is
    http = _at(figures, "http", "creates_per_second")
    p99 = _at(figures, "latency", "timings", at_load(HALF_LOAD, WORKER))
    return (
        Goal("one process, of the hand-written loop", 0.7, creates.get("to_hand_written", nan)),
        Goal("one process, of the textbook FastStream worker on the same work", 2, creates.get("to_textbook", nan)),
        Goal("one process, of the fastest peer on the same work", 1, creates.get("to_best_peer", nan)),
        Goal("one process and its publisher, of FastAPI + SQLModel and its client", 1, ours / http if http else nan),
        Goal("two processes, of one", 1, creates.get("two_to_one", nan)),
        Goal("best number of processes, of the hand-written loop's best", 0.8, creates.get("best_to_best", nan)),
        Goal("heroes/s in batches of 1 000, of single commands", 10, _at(figures, "batches", "times", _LARGEST_BATCH)),
        Goal("p99 from publication to event at half load, ms", 20, getattr(p99, "p99_milliseconds", nan), at_most=True),
        Goal("rate in the last third of a backlog, of the first", 0.9, _last_of_first(rates)),
        Goal("memory at the end of a backlog, of its beginning", 1.1, memory[-1] / memory[0], at_most=True),
        Goal("rate beside full tables, of empty ones", 0.9, figures.get("full_tables", {}).get("ratio", nan)),
    )


def _last_of_first(rates: Sequence[float]) -> float:
    first, _, last = thirds_of(rates)
    return last / first


def _at(figures: Figures, *path: str) -> Any:
    found: Any = figures
    for name in path:
        found = found.get(name, {})
    return nan if found == {} else found
