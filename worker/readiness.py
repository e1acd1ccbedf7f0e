"""Says whether this worker really takes commands and can finish them, part by part.

Never ready while a queue is without this worker's consumer: an open connection alone says nothing about those on it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from worker.errors import TopologyError, in_words
from worker.failsafe import Failure, caught
from worker.messaging import topology
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import connect
from worker.messaging.intake import Intake
from worker.persistence import schema
from worker.persistence.database import Database
from worker.persistence.gate import Gate
from worker.persistence.sqlstate import translated
from worker.settings import Settings

STARTING, LEAVING = "it is still starting", "it is leaving"

_CHANNEL_SECONDS = 1.0
_DATABASE_SECONDS = 1.0
_TOPOLOGY_SECONDS = 3.0
_MOST_NAMED = 3

Look = Callable[[], Awaitable[object]]
"""Raises what is wrong."""


class Remembered:
    """A look that costs something: its answer is kept for a while, and for a moment only where something is wrong."""

    def __init__(self, look: Look, *, keep_seconds: float, at_most_seconds: float) -> None:
        self._look = look
        self._keep_seconds = keep_seconds
        self._at_most_seconds = at_most_seconds
        self._one_at_a_time = asyncio.Lock()
        self._again_at = 0.0
        self._problem: str | None = None

    async def problem(self) -> str | None:
        """What is wrong, in words; None where all is well."""
        async with self._one_at_a_time:
            loop = asyncio.get_running_loop()
            if loop.time() >= self._again_at:
                seen = await caught(self._in_time)
                self._problem = _told(seen.error) if isinstance(seen, Failure) else None
                self._again_at = loop.time() + (self._keep_seconds if self._problem is None else 1.0)
        return self._problem

    async def _in_time(self) -> None:
        async with asyncio.timeout(self._at_most_seconds):
            await self._look()


@dataclass(slots=True)
class Readiness:
    """Looks at every part when asked."""

    intake: Intake
    events: ConfirmedChannel
    gate: Gate
    database: Remembered
    schema: Remembered
    topology: Remembered
    stage: str | None = STARTING

    async def problems(self) -> Mapping[str, str | None]:
        """Each part by name, with None where it is well."""
        idle, publishing, database = await asyncio.gather(
            self.intake.unattached(), self._publishing(), self.database.problem()
        )
        behind = "not known while the other end does not answer"
        return {
            "worker": self.stage,
            "commands": self._not_consumed(idle),
            "publishing": publishing,
            "gate": self.gate.closed_because,
            "database": database,
            "schema": behind if database else await self.schema.problem(),
            "topology": behind if publishing else await self.topology.problem(),
        }

    async def _publishing(self) -> str | None:
        try:
            async with asyncio.timeout(_CHANNEL_SECONDS):
                await self.events.ready()
        except (OSError, RuntimeError):
            if self.events.is_connected:
                return "RabbitMQ takes nothing: a memory or disk alarm?"
            return "the connection to RabbitMQ is gone"
        return None

    def _not_consumed(self, idle: Sequence[str]) -> str | None:
        if len(idle) > _MOST_NAMED:
            return f"not consuming {len(idle)} queues, {idle[0]} and others"
        return f"not consuming {', '.join(idle)}" if idle else None


def readiness(
    settings: Settings, intake: Intake, events: ConfirmedChannel, gate: Gate, database: Database
) -> Readiness:
    """How ready this worker is."""

    async def tables() -> None:
        await schema.verify(database.side_engine)

    async def declared() -> None:
        async with await connect(settings.rabbitmq_url) as connection:
            if names := await topology.missing(connection, settings.event_log_retention_days):
                raise TopologyError(f"RabbitMQ lacks {', '.join(names)}: run heroes setup")

    return Readiness(
        intake,
        events,
        gate,
        Remembered(database.probe, keep_seconds=2, at_most_seconds=_DATABASE_SECONDS),
        Remembered(tables, keep_seconds=30, at_most_seconds=_DATABASE_SECONDS),
        Remembered(declared, keep_seconds=15, at_most_seconds=_TOPOLOGY_SECONDS),
    )


def _told(error: Exception) -> str:
    """In words, and in those of the database where it answered."""
    return in_words(translated(error) or error)
