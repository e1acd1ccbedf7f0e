"""Says whether this worker really takes commands and can finish them, part by part.

Never ready while a queue is without this worker's consumer: an open connection alone says nothing about those on it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from worker.errors import in_words
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
_BREAKING_OFF_SECONDS = 0.1
_KEEP_BAD_NEWS_SECONDS = 1.0
_MOST_NAMED = 3

Look = Callable[[], Awaitable[object]]
"""Raises what is wrong."""


class Remembered:
    """A look that costs something: its answer is kept for a while, and for a moment only where something is wrong."""

    def __init__(self, look: Look, *, keep_seconds: float, at_most_seconds: float) -> None:
        self._look = look
        self._keep_seconds = keep_seconds
        self._at_most_seconds = at_most_seconds
        self._looking: asyncio.Task[None] | None = None
        self._again_at = 0.0
        self._problem: str | None = None

    async def problem(self) -> str | None:
        """What is wrong, in words; None where all is well. A look that lets itself not be broken off goes on alone."""
        if self._looking is None and asyncio.get_running_loop().time() >= self._again_at:
            self._looking = asyncio.create_task(self._looked())
        if self._looking is not None:
            done, _ = await asyncio.wait({self._looking}, timeout=self._at_most_seconds + _BREAKING_OFF_SECONDS)
            if not done:
                return _told(TimeoutError())
        return self._problem

    async def _looked(self) -> None:
        try:
            seen = await caught(self._in_time)
            self._problem = _told(seen.error) if isinstance(seen, Failure) else None
            keep_seconds = self._keep_seconds if self._problem is None else _KEEP_BAD_NEWS_SECONDS
            self._again_at = asyncio.get_running_loop().time() + keep_seconds
        finally:
            self._looking = None

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
        tables, declared = await asyncio.gather(
            _behind() if database else self.schema.problem(), _behind() if publishing else self.topology.problem()
        )
        return {
            "worker": self.stage,
            "commands": self._not_consumed(idle),
            "publishing": publishing,
            "gate": self.gate.closed_because,
            "database": database,
            "schema": tables,
            "topology": declared,
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
        if idle and not any(map(self.intake.is_due, idle)):
            return f"leaving {len(idle)} queues to the other processes for a few seconds"
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
            await topology.verify(connection, settings.event_log_retention_days)

    return Readiness(
        intake,
        events,
        gate,
        Remembered(database.probe, keep_seconds=2, at_most_seconds=_DATABASE_SECONDS),
        Remembered(tables, keep_seconds=30, at_most_seconds=_DATABASE_SECONDS),
        Remembered(declared, keep_seconds=15, at_most_seconds=_TOPOLOGY_SECONDS),
    )


async def _behind() -> str:
    return "not known while the other end does not answer"


def _told(error: BaseException) -> str:
    """In words, and in those of the database where it answered."""
    return in_words(translated(error) or error)
