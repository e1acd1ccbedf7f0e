"""Times calls: so many, so many at once, and how long each took.

Invariant: a call that fails ends the measurement; a rate over failures would mean nothing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import astuple, dataclass
from statistics import median
from time import perf_counter


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things took."""

    per_second: float
    p50_milliseconds: float
    p95_milliseconds: float
    p99_milliseconds: float

    @classmethod
    def of(cls, seconds: Sequence[float], per_second: float) -> "Timing":
        """The percentiles of these durations."""
        ordered = sorted(seconds)
        return cls(per_second, *(percentile(ordered, share) * 1000 for share in (0.5, 0.95, 0.99)))

    @classmethod
    def middle(cls, timings: "Sequence[Timing]") -> "Timing":
        """The median of each figure."""
        return cls(*(median(figures) for figures in zip(*map(astuple, timings), strict=True)))

    def cells(self) -> tuple[str, ...]:
        """For a table: rate, and the percentiles in milliseconds."""
        times = (self.p50_milliseconds, self.p95_milliseconds, self.p99_milliseconds)
        return (f"{self.per_second:.0f}", *(f"{one:.1f}" for one in times))


def percentile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that this share does not exceed; the values are in order and at least one."""
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


async def timed(call: Callable[[int], Awaitable[object]], total: int, at_once: int) -> Timing:
    """So many calls were made, numbered from 1, never more than `at_once` under way."""
    numbers = iter(range(1, total + 1))
    seconds: list[float] = []

    async def caller() -> None:
        for number in numbers:
            began = perf_counter()
            await call(number)
            seconds.append(perf_counter() - began)

    began = perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(at_once):
            group.create_task(caller())
    return Timing.of(seconds, total / (perf_counter() - began))
