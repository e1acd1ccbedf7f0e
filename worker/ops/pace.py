"""How fast commands go: the counts of now beside those of a minute ago.

Only the samples cost something, a few times a minute; a command pays nothing for it.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isinf
from time import monotonic

from prometheus_client import Counter

from worker.observability.metrics import Metrics

_EVERY_SECONDS = 5.0
_SAMPLES = 12  # a minute's
_SHORTEST_SECONDS = 1.0

Labels = tuple[str, ...]
Buckets = Sequence[tuple[float, float]]
"""Upper bound in seconds, and how many were not longer."""


@dataclass(frozen=True, slots=True)
class Rate:
    """Commands of one type that ended in one way; a rate over less than a second is None."""

    type: str
    settlement: str
    total: int
    lately_per_second: float | None
    all_along_per_second: float | None


@dataclass(frozen=True, slots=True)
class Tempo:
    """What was counted since the start, and in the last minute; the critical times are estimated from buckets."""

    up_seconds: float
    lately_seconds: float
    rates: tuple[Rate, ...]
    retries_lately: Mapping[str, int]
    median_seconds: float | None
    most_seconds: float | None
    longest_told_seconds: float


@dataclass(frozen=True, slots=True)
class _Sample:
    at: float
    commands: Mapping[Labels, float]  # type, settlement
    retries: Mapping[Labels, float]  # cause
    critical: tuple[tuple[float, float], ...]


class Pace:
    """Samples the figures of one worker."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._began = self._sample()
        self._samples: deque[_Sample] = deque([self._began], maxlen=_SAMPLES)

    async def keep(self) -> None:
        """A minute can be looked back upon. Ends only by cancellation."""
        while True:
            await asyncio.sleep(_EVERY_SECONDS)
            self._samples.append(self._sample())

    def tempo(self) -> Tempo:
        """How it goes now."""
        now, before = self._sample(), self._samples[0]
        lately, up = now.at - before.at, now.at - self._began.at
        rates = [
            Rate(
                kind,
                end,
                int(count),
                _per_second(count - before.commands.get((kind, end), 0), lately),
                _per_second(count, up),
            )
            for (kind, end), count in now.commands.items()
            if count
        ]
        rates.sort(key=lambda one: (-(one.lately_per_second or 0), -one.total))
        critical = _between(before.critical, now.critical)
        return Tempo(
            up_seconds=up,
            lately_seconds=lately,
            rates=tuple(rates),
            retries_lately={cause: int(count - before.retries[cause,]) for (cause,), count in now.retries.items()},
            median_seconds=quantile(critical, 0.5),
            most_seconds=quantile(critical, 0.95),
            longest_told_seconds=critical[-2][0],
        )

    def _sample(self) -> _Sample:
        buckets, _ = self._metrics.critical.shown()
        critical = tuple((float(bound), count) for bound, count in buckets)
        return _Sample(monotonic(), _counts(self._metrics.commands), _counts(self._metrics.retries), critical)


def quantile(buckets: Buckets, part: float) -> float | None:
    """About the longest of this part, as Prometheus estimates it; beyond the last bound: that bound."""
    rank = part * buckets[-1][1]
    if not rank:
        return None
    for (lower, below), (upper, count) in pairwise([(0.0, 0.0), *buckets]):
        if count >= rank:
            return lower if isinf(upper) else lower + (upper - lower) * (rank - below) / (count - below)
    return None


def _between(before: Buckets, now: Buckets) -> Buckets:
    return [(bound, count - earlier) for (bound, count), (_, earlier) in zip(now, before, strict=True)]


def _counts(counter: Counter) -> dict[Labels, float]:
    (family,) = counter.collect()
    return {tuple(sample.labels.values()): sample.value for sample in family.samples if sample.name.endswith("_total")}


def _per_second(count: float, seconds: float) -> float | None:
    return count / seconds if seconds >= _SHORTEST_SECONDS else None
