"""Those who look on at one worker: figures and the last dead letters always, spans where a collector is named."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from worker.errors import SettingsError
from worker.observability.metrics import Metrics, installed_version
from worker.observability.recent import Recent
from worker.observability.watcher import Watcher
from worker.settings import Settings
from worker.watch import Watch

if TYPE_CHECKING:  # an extra that may not be installed
    from worker.observability.tracing import Tracing


@dataclass(frozen=True, slots=True)
class Observed:
    """What the rooms tell (`watch`), and where it arrives."""

    watch: Watch
    metrics: Metrics
    tracing: "Tracing | None" = None
    recent: Recent = field(default_factory=Recent)

    @classmethod
    def of(cls, metrics: Metrics, tracing: "Tracing | None" = None) -> "Observed":
        """Everything that is told arrives at all of them."""
        recent = Recent()
        return cls(Watcher(metrics, tracing, recent), metrics, tracing, recent)

    async def close(self) -> None:
        """The spans are exported, if somebody takes them soon."""
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)


def observed(settings: Settings, command_types: Iterable[str]) -> Observed:
    """As the settings ask for.

    Raises:
        SettingsError: tracing is asked for, and its extra is not installed.
    """
    return Observed.of(Metrics(command_types), _tracing(settings) if settings.otlp_endpoint else None)


def _tracing(settings: Settings) -> "Tracing":
    try:
        from worker.observability.tracing import Tracing, exporter_to, provider  # an extra, and slow to import

        exporter = exporter_to(settings.otlp_endpoint or "")
    except ModuleNotFoundError:
        raise SettingsError(
            "HEROES_OTLP_ENDPOINT: tracing needs its extra: pip install 'heroes-worker[tracing]'"
        ) from None
    return Tracing(provider(settings.worker_id, installed_version("heroes-worker"), exporter))
