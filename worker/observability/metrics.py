"""The figures of one worker, by the names that alerts and dashboards rely on; docs/runbook.md says what each means.

Every label's values are known beforehand, or come from our own code: what a message says never becomes a label.
"""

from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, version
from platform import python_version

from prometheus_client import CollectorRegistry, Counter, Gauge, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.process_collector import ProcessCollector

from contracts.channels import DEAD_LETTERS, EVENTS
from worker.observability.durations import Durations, Histogram
from worker.observability.readings import Readings
from worker.outcomes import OutcomeKind, Reason
from worker.watch import Cause, Step

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
DUPLICATE = "duplicate"
UNKNOWN = "unknown"
SETTLEMENTS = (*OutcomeKind, DUPLICATE)
DEFAULT_EXCHANGE = "(default)"
CONNECTIONS = ("consuming", "publishing")

_WORK_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_AGE_SECONDS = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters and histograms of what happens, and the readings that are taken when somebody asks."""

    def __init__(self, command_types: Iterable[str]) -> None:
        # One more series for each, and nobody asks for it. The switch is the library's own, for the whole process.
        disable_created_metrics()  # type: ignore[no-untyped-call]  # the library has forgotten its type
        self.registry = CollectorRegistry(auto_describe=False)
        self.readings = Readings()
        self.registry.register(self.readings)
        ProcessCollector(registry=self.registry)
        self._commands()
        self._publications()
        self._housekeeping()
        self.command_types = frozenset(command_types)
        _from_zero(self.commands, [(one, end) for one in sorted(self.command_types) for end in SETTLEMENTS])
        _from_zero(self.commands, [(UNKNOWN, OutcomeKind.DEAD_LETTERED)])

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self.registry)

    def _commands(self) -> None:
        self.commands = self._counter("worker_commands", "Commands settled.", "type", "settlement")
        self.retries = self._counter("worker_retries", "Failures that are tried again.", "cause")
        _from_zero(self.retries, [(cause,) for cause in Cause])
        self.dead_letters = self._counter("worker_dead_letters", "Letters in the dead-letter queue.", "reason")
        _from_zero(self.dead_letters, [(reason,) for reason in Reason])
        self.misrouted = self._counter("worker_misrouted", "Commands that came in another's slot.")
        steps = Histogram("worker_step_seconds", "Duration of one step of a command.", _WORK_SECONDS, "step", [*Step])
        self.registry.register(steps)
        self.steps = steps.of
        self.critical = self._durations("worker_critical_seconds", "From published to settled.", _AGE_SECONDS)
        self.queue_age = self._durations("worker_queue_age_seconds", "From published to delivered.", _AGE_SECONDS)

    def _publications(self) -> None:
        self.events = self._counter("worker_events_published", "Events that the broker has confirmed.", "type")
        self.confirm = self._durations("worker_confirm_seconds", "From publishing to the confirm.", _WORK_SECONDS)
        self.failures = self._counter("worker_publish_failures", "Publications without a confirm.", "exchange")
        _from_zero(self.failures, [(EVENTS,), (DEAD_LETTERS,), (DEFAULT_EXCHANGE,)])
        self.reconnects = self._counter("worker_reconnects", "Lost connections that came back.", "connection")
        _from_zero(self.reconnects, [(name,) for name in CONNECTIONS])

    def _housekeeping(self) -> None:
        self.unpublished = self._gauge("worker_unpublished_rows", "Inbox rows that owe their events.")
        self.oldest = self._gauge("worker_unpublished_oldest_seconds", "Age of the oldest such row.")
        self.swept = self._counter("worker_swept", "Commands whose events the sweeper published.")
        self.pruned = self._counter("worker_pruned", "Inbox rows forgotten after their retention.")
        self.tidied = self._gauge("worker_sweeper_last_success_timestamp_seconds", "Last good round, or the start.")
        self.tidied.set_to_current_time()
        libraries = {"version": "heroes-worker", "faststream": "faststream", "aio_pika": "aio-pika"}
        told = {label: installed_version(name) for label, name in libraries.items()}
        build = self._gauge("worker_build_info", "Always 1; the labels tell.", *told, "python")
        build.labels(**told, python=python_version()).set(1)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        return Counter(name, told, labels, registry=self.registry)

    def _gauge(self, name: str, told: str, *labels: str) -> Gauge:
        return Gauge(name, told, labels, registry=self.registry)

    def _durations(self, name: str, told: str, bounds: tuple[float, ...]) -> Durations:
        histogram = Histogram(name, told, bounds)
        self.registry.register(histogram)
        return histogram.only


def _from_zero(counter: Counter, labels: Iterable[tuple[str, ...]]) -> None:
    """A series that begins at zero, not at its first increment, which no rate would see."""
    for values in labels:
        counter.labels(*values)


def installed_version(package: str) -> str:
    """The version of what is installed under this name."""
    try:
        return version(package)
    except PackageNotFoundError:  # run from a folder, without an installation
        return UNKNOWN
