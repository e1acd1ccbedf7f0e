"""Histograms that cost a command next to nothing: a lock-free count, turned into Prometheus' form at a scrape.

For one thread alone: everything is counted, and read, in the worker's event loop.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from itertools import accumulate

from prometheus_client import Metric
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Durations:
    """How often, and how long in all, by upper bounds in seconds."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """One more; a bound belongs to its own bucket."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def shown(self) -> tuple[list[tuple[str, float]], float]:
        """Buckets, each with everything up to its bound, and the sum."""
        bounds = [*(str(float(bound)) for bound in self._bounds), "+Inf"]
        return list(zip(bounds, accumulate(self._counts), strict=True)), self._sum


class Histogram(Collector):
    """One figure, for each value of at most one label."""

    def __init__(
        self, name: str, told: str, bounds: Sequence[float], label: str = "", values: Sequence[str] = ()
    ) -> None:
        self._name = name
        self._told = told
        self._label = label
        self.of = {value: Durations(bounds) for value in (values or ("",))}

    @property
    def only(self) -> Durations:
        """Where there is no label."""
        return self.of[""]

    def collect(self) -> Iterator[Metric]:
        """The figure as it stands."""
        family = HistogramMetricFamily(self._name, self._told, labels=[self._label] if self._label else [])
        for value, durations in self.of.items():
            buckets, total = durations.shown()
            family.add_metric([value] if self._label else [], buckets, total)
        yield family
