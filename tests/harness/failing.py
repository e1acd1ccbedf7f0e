"""Dead letters that came about as they do: a worker whose handlers fail at what is broken, until it is mended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aio_pika
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from contracts.heroes import COMMANDS, CreateHeroData, UpdateHeroData
from tests.harness.letters import Pigeonhole
from tests.harness.stage import Stage, eventually
from worker import heroes
from worker.app import Worker, running_worker
from worker.entity import Entity
from worker.outcomes import Handled
from worker.retry import Backoff, RetryPolicy

SECRET = "Zx9-secret-Qk7"
LIST = ("dead-letters", "list")
SHOW = ("dead-letters", "show")
REPLAY = ("dead-letters", "replay")
DROP = ("dead-letters", "drop")
BROKEN: set[str] = set()
"""Names at which the handlers raise, until they are mended."""


_QUICK = RetryPolicy(Backoff(3, 0.05), Backoff(3, 0.05), Backoff(8, 0.1))


@asynccontextmanager
async def failing_worker(stage: Stage) -> AsyncIterator[Worker]:
    """At work, with handlers that fail at what is broken."""
    entity = Entity(COMMANDS, {**heroes.HANDLERS, "hero.create": _create, "hero.update": _update}, retry=_QUICK)
    async with running_worker(stage.settings(shutdown_timeout_seconds=5), entity) as running:
        yield running


async def _create(session: AsyncSession, data: CreateHeroData) -> Handled:
    if data.name in BROKEN:
        raise KeyError(data.name)
    return await heroes.create(session, data)


async def _update(session: AsyncSession, data: UpdateHeroData) -> Handled:
    if data.changes.get("name") in BROKEN:
        raise KeyError(data.hero_id)
    return await heroes.apply_update(session, data)


async def send(hole: Pigeonhole, command: Command, **properties: Any) -> None:
    """The command is in its queue."""
    exchange = await hole.channel.get_exchange("heroes.commands", ensure=False)
    message = aio_pika.Message(command.to_json(), delivery_mode=2, message_id=command.id, **properties)
    await exchange.publish(message, command.routing_key)


async def given_up(stage: Stage, hole: Pigeonhole, command: Command, **properties: Any) -> None:
    """The worker has failed at it: its letter is there, and its row owes nothing."""
    before = await hole.count()
    await send(hole, command, **properties)
    await hole.holds(before + 1)
    await eventually(lambda: stage.is_published(command.id), "its row is marked")


async def becomes(stage: Stage, command: Command, outcome: str) -> None:
    """The command's row says so, and owes nothing."""

    async def is_so() -> bool:
        row = await stage.inbox(command.id)
        return row is not None and row["outcome"] == outcome and row["published_at"] is not None

    await eventually(is_so, f"{command.id} is {outcome}", within_seconds=20)


async def heroes_called(stage: Stage, name: str) -> int:
    """How many there are."""
    return len(await stage.rows("SELECT FROM hero WHERE name = $1", name))
