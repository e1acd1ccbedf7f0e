"""What is read at the moment of a scrape: how full, how many, open or closed.

A reading is taken by whoever serves the page, in the worker's own loop; here it only gets its names.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


@dataclass(frozen=True, slots=True)
class Reading:
    """The worker at one moment."""

    in_flight: int
    lanes_waiting: int
    prefetch_full: Mapping[str, bool]
    gate_closed: bool
    gate_closed_seconds: float
    pool_in_use: int
    pool_size: int
    events_owed: int
    permits_slow: bool
    queues_attached: int
    queues_expected: int


class Readings(Collector):
    """Shows the latest reading, and which parts are well; while the worker starts there are parts only."""

    def __init__(self) -> None:
        self.latest: Reading | None = None
        self.ready: Mapping[str, bool] = {}

    def collect(self) -> Iterator[Metric]:
        """The figures by name."""
        yield _labelled("worker_ready", "1: this part is well.", "part", self.ready)
        if self.latest is None:
            return
        now = self.latest
        yield _gauge("worker_in_flight", "Commands in hand.", now.in_flight)
        yield _gauge("worker_lanes_waiting", "Commands in hand whose turn has not come.", now.lanes_waiting)
        yield _labelled("worker_prefetch_full", "1: its whole window is in hand.", "queue", now.prefetch_full)
        yield _gauge("worker_gate_closed", "1: a service is away.", now.gate_closed)
        seconds = CounterMetricFamily("worker_gate_closed_seconds", "Seconds for which the gate was closed.")
        seconds.add_metric((), now.gate_closed_seconds)
        yield seconds
        yield _gauge("worker_pool_in_use", "Connections of the commands' pool at work.", now.pool_in_use)
        yield _gauge("worker_pool_size", "Connections of the commands' pool.", now.pool_size)
        yield _gauge("worker_events_owed", "Events of applied commands, not confirmed yet.", now.events_owed)
        yield _gauge("worker_permits_slow", "1: too many were given up: one at a time now.", now.permits_slow)
        yield _gauge("worker_queues_attached", "Queues that this worker consumes.", now.queues_attached)
        yield _gauge("worker_queues_expected", "Queues that it should consume.", now.queues_expected)


def _gauge(name: str, told: str, value: float) -> Metric:
    return GaugeMetricFamily(name, told, value=value)


def _labelled(name: str, told: str, label: str, values: Mapping[str, bool]) -> Metric:
    family = GaugeMetricFamily(name, told, labels=[label])
    for key, value in values.items():
        family.add_metric((key,), value)
    return family
