"""Turns what happens into figures, log lines and spans.

It must stay cheap: everything here runs for every command, on the event loop.
"""

from contextlib import AbstractContextManager, nullcontext
from time import time
from typing import TYPE_CHECKING

from worker.observability.journey import Followed
from worker.observability.metrics import DEFAULT_EXCHANGE, Metrics
from worker.observability.recent import Recent
from worker.watch import Journey, Sighting, Watch

if TYPE_CHECKING:  # an extra that may not be installed
    from worker.observability.tracing import Tracing


class Watcher(Watch):
    """Listens to the whole worker."""

    def __init__(self, metrics: Metrics, tracing: "Tracing | None" = None, recent: Recent | None = None) -> None:
        self._metrics = metrics
        self._recent = recent or Recent()
        self._tracing = tracing

    def arrived(self, sighting: Sighting) -> Journey:
        """A message is followed from here on; every log line of this task names its command."""
        return Followed(sighting, self._metrics, self._recent, self._tracing)

    def transaction(self) -> AbstractContextManager[object]:
        """A child of the present delivery's span, where there is tracing."""
        return self._tracing.transaction() if self._tracing else nullcontext()

    def publication(self, exchange: str, messages: int) -> AbstractContextManager[object]:
        """A child of the present delivery's span, where there is tracing."""
        return self._tracing.publication(exchange, messages) if self._tracing else nullcontext()

    def retried(self, cause: str) -> None:
        """Counted."""
        self._metrics.retries.labels(cause).inc()

    def published(self, event_type: str) -> None:
        """Counted."""
        self._metrics.events.labels(event_type).inc()

    def confirmed(self, seconds: float) -> None:
        """Measured."""
        self._metrics.confirm.observe(seconds)

    def unconfirmed(self, exchange: str) -> None:
        """Counted."""
        self._metrics.failures.labels(exchange or DEFAULT_EXCHANGE).inc()

    def reconnected(self, connection: str) -> None:
        """Counted."""
        self._metrics.reconnects.labels(connection).inc()

    def owed(self, rows: int, oldest_seconds: float) -> None:
        """Shown until the next look."""
        self._metrics.unpublished.set(rows)
        self._metrics.oldest.set(oldest_seconds)

    def swept(self, commands: int) -> None:
        """Counted."""
        self._metrics.swept.inc(commands)

    def pruned(self, rows: int) -> None:
        """Counted."""
        self._metrics.pruned.inc(rows)

    def tidied(self) -> None:
        """Shown with its time."""
        self._metrics.tidied.set(time())
