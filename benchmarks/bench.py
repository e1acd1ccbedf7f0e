"""What every part of a run is given: services, how much to measure, and fresh corners to measure in.

Invariant: each corner is a virtual host and a database of its own, gone afterwards.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from rich.console import Console

from benchmarks.arena import Arena, opened
from worker.local import Services
from worker.operations.prepare import prepare_broker, prepare_database
from worker.settings import Settings


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured; everything that takes long is a number here."""

    name: str
    commands: int
    rounds: int
    kind_rounds: int
    """Of updates, deletes and batches."""
    concurrencies: tuple[int, ...]
    hand_written_processes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    batch_heroes: int
    """Enough that there are more commands than a worker has at work at once, also of the largest size."""
    calls: int
    latency_rounds: int
    latency_seconds: float
    backlog: int
    old_rows: int
    """Nought: that part is left out."""
    skipped: tuple[str, ...] = ()
    """Parts that are not measured unless they are asked for."""


FULL = Scale(
    name="full",
    commands=5000,
    rounds=5,
    kind_rounds=3,
    concurrencies=(1, 8, 32, 100),
    hand_written_processes=(2, 3),
    batch_sizes=(10, 100, 1000),
    batch_heroes=60_000,
    calls=2000,
    latency_rounds=3,
    latency_seconds=15,
    backlog=200_000,
    old_rows=1_000_000,
)
QUICK = Scale(
    name="quick",
    commands=1000,
    rounds=1,
    kind_rounds=1,
    concurrencies=(),
    hand_written_processes=(),
    batch_sizes=(1000,),
    batch_heroes=30_000,
    calls=100,
    latency_rounds=1,
    latency_seconds=4,
    backlog=5000,
    old_rows=0,
    skipped=("kinds", "full_tables", "disk"),
)
SMOKE = Scale(
    name="smoke",
    commands=200,
    rounds=1,
    kind_rounds=1,
    concurrencies=(8,),
    hand_written_processes=(2,),
    batch_sizes=(10,),
    batch_heroes=2000,
    calls=20,
    latency_rounds=1,
    latency_seconds=1.5,
    backlog=200,
    old_rows=500,
)


@dataclass(frozen=True, slots=True)
class Bench:
    """One run."""

    services: Services
    scale: Scale
    console: Console

    @asynccontextmanager
    async def arena(self, old_rows: int = 0) -> AsyncIterator[Arena]:
        """A fresh corner, prepared by what `heroes setup` does, and an arena in it."""
        with self.services.virtual_host("bench") as rabbitmq_url, self.services.database("bench") as database_url:
            settings = Settings(rabbitmq_url=rabbitmq_url, database_url=database_url)
            await prepare_database(settings)
            await prepare_broker(settings)
            async with opened(settings, old_rows) as arena:
                yield arena

    def say(self, line: str) -> None:
        """Progress, for whoever waits."""
        self.console.print(line, highlight=False, markup=False)
