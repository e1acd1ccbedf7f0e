"""Gathers what the page shows; no broken service holds it up for longer than a moment.

What costs something is asked at most every few seconds, however many look at the page.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from time import time

from prometheus_client import Gauge

from contracts.channels import DEAD_LETTERS
from worker.assembly import Worker
from worker.messaging.depths import Depth
from worker.messaging.soundings import Soundings
from worker.observability.http import UNAVAILABLE, Page
from worker.observability.metrics import installed_version
from worker.observability.observed import Observed
from worker.ops.facts import Facts, GateFact, Owed, QueueFact
from worker.ops.glance import Glance, Patience, Seen
from worker.ops.letters import grouped
from worker.ops.pace import Pace
from worker.ops.render import Renderer
from worker.ops.verdict import STUCK, verdict_on
from worker.readiness import STARTING
from worker.settings import Settings

_QUEUES = Patience(ask_seconds=1.5, look_seconds=4, keep_seconds=2)
_PARTS = Patience(ask_seconds=2, look_seconds=6, keep_seconds=1)

Parts = Mapping[str, str | None]


class Board:
    """The page of one worker, which may not be there yet."""

    def __init__(self, settings: Settings, observed: Observed) -> None:
        self._sweep_after_seconds = settings.sweep_after_seconds
        self._metrics = observed.metrics
        self._recent = observed.recent
        self._pace = Pace(observed.metrics)
        self._renderer = Renderer(settings.worker_id, installed_version("heroes-worker"))
        self._soundings = Soundings(settings.rabbitmq_url)
        self._worker: Worker | None = None
        self._parts = Glance(self._problems, "readiness", _PARTS)
        self._depths = Glance(self._sounded, "RabbitMQ", _QUEUES)
        self.stuck = replace(self._renderer.page(STUCK, None, refresh=True), status=UNAVAILABLE)

    def shows(self, worker: Worker) -> None:
        """From now on it tells about this worker."""
        self._worker = worker

    async def keep_pace(self) -> None:
        """The last minute can be told. Ends only by cancellation."""
        await self._pace.keep()

    async def close(self) -> None:
        """Nothing is asked any more."""
        await asyncio.gather(self._parts.close(), self._depths.close())
        await self._soundings.close()

    async def page(self, query: Mapping[str, str]) -> Page:
        """How it stands now; `refresh=off` makes a page that stays as it is."""
        facts = await self._facts()
        return self._renderer.page(verdict_on(facts), facts, refresh=query.get("refresh") != "off")

    async def _facts(self) -> Facts:
        worker = self._worker
        if worker is None:
            return self._own(Seen({"worker": STARTING}))
        parts, depths, unattached, reading = await asyncio.gather(
            self._parts.seen(), self._depths.seen(), worker.intake.unattached(), worker.reading()
        )
        queues = _queue_facts(worker, depths.value or (), unattached)
        gate = GateFact(worker.gate.closed_because, worker.gate.closed_seconds, worker.gate.all_closed_seconds)
        own = self._own(parts)
        return replace(own, gate=gate, reading=reading, queues=queues, queues_not_known=depths.not_known)

    def _own(self, parts: Seen[Parts]) -> Facts:
        """What nobody else has to be asked for."""
        return Facts(
            at=time(),
            parts=parts.value,
            parts_not_known=parts.not_known,
            tempo=self._pace.tempo(),
            owed=self._owed(),
            letters=grouped(self._recent),
            sweep_after_seconds=self._sweep_after_seconds,
        )

    def _owed(self) -> Owed:
        figures = self._metrics
        return Owed(int(_value(figures.unpublished)), _value(figures.oldest), _value(figures.tidied))

    async def _problems(self) -> Parts:
        return await self._worker.problems() if self._worker else {}

    async def _sounded(self) -> list[Depth]:
        return await self._soundings.take(_names(self._worker)) if self._worker else []


def _names(worker: Worker) -> tuple[str, ...]:
    return (DEAD_LETTERS, *worker.intake.queues)


def _queue_facts(worker: Worker, depths: Sequence[Depth], unattached: Sequence[str]) -> tuple[QueueFact, ...]:
    """One for each queue, also where the broker tells nothing."""
    told = {depth.queue: depth for depth in depths}
    settlements = worker.intake.settlements()
    facts = []
    for name in _names(worker):
        depth, settlement = told.get(name, Depth(name)), settlements.get(name)
        facts.append(
            QueueFact(
                name,
                depth.ready,
                depth.consumers,
                depth.word,
                None if name == DEAD_LETTERS else name not in unattached,
                settlement.in_hand if settlement else None,
                settlement.is_full if settlement else False,
            )
        )
    return tuple(facts)


def _value(gauge: Gauge) -> float:
    (family,) = gauge.collect()
    return float(family.samples[0].value)
