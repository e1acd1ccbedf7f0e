"""A worker whose handlers do what a test says, attempt by attempt, and what a command left behind there."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any
from uuid import uuid4

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from contracts.heroes import COMMANDS, CreateHeroData, UpdateHeroData
from tests.harness.commands import update
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from worker import heroes
from worker.entity import Entity
from worker.outcomes import Handled
from worker.persistence.unit_of_work import Handler
from worker.retry import Backoff, RetryPolicy

SECRET = "kept-to-myself"

POLICY = RetryPolicy(refused=Backoff(5, 0.3), bug=Backoff(3, 0.15), away=Backoff(8, 0.1))

Behaviour = Callable[[AsyncSession, Any, int], Awaitable[Handled]]
"""What to do with a command's data at its first, second, … attempt."""


class Handlers:
    """The hero handlers, but a command whose (new) name is in `on` does what stands there."""

    def __init__(self) -> None:
        self.on: dict[str, Behaviour] = {}
        self.attempts: Counter[str] = Counter()

    def entity(self) -> Entity:
        """To run a worker with."""
        handlers: dict[str, Handler] = {
            "hero.create": self._create,
            "hero.update": self._update,
            "hero.delete": heroes.apply_delete,
        }
        return Entity(COMMANDS, handlers, retry=POLICY)

    def name(self, behaviour: Behaviour) -> str:
        """A fresh name that stands for this behaviour."""
        name = f"Hero {uuid4()}"
        self.on[name] = behaviour
        return name

    async def _create(self, session: AsyncSession, data: CreateHeroData) -> Handled:
        if (behaviour := self.on.get(data.name)) is None:
            return await heroes.create(session, data)
        self.attempts[data.name] += 1
        return await behaviour(session, data, self.attempts[data.name])

    async def _update(self, session: AsyncSession, data: UpdateHeroData) -> Handled:
        name = data.changes.get("name", "")
        if (behaviour := self.on.get(name)) is None:
            return await heroes.apply_update(session, data)
        self.attempts[name] += 1
        return await behaviour(session, data, self.attempts[name])


async def as_usual(session: AsyncSession, data: UpdateHeroData, _: int) -> Handled:
    """What the hero handler does."""
    return await heroes.apply_update(session, data)


async def refuse(session: AsyncSession, sqlstate: str) -> None:
    """A live server's answer with this SQLSTATE."""
    await session.execute(text(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{sqlstate}'; END $$"))


async def recorded(stage: Stage, command: Command) -> tuple[str, list[dict[str, Any]]]:
    """The command's row: outcome, events."""
    row = await stage.inbox(command.id)
    assert row is not None
    return row["outcome"], json.loads(row["events"])


async def nothing_more(wire: Wire, command: Command, hero_id: int) -> None:
    """Whatever was sent for this hero before is through, and of the command there is one event and at most one letter.

    The later command waits in the hero's lane for everything before it, and letters come in order.
    """
    await wire.outcome(update(hero_id, {"age": 40}))
    barrier = f"barrier {uuid4()}".encode()
    await wire.publish(barrier)
    await wire.letters_with(barrier)
    assert len(await wire.events_of(command.id)) == 1
    assert len([letter for letter in wire.letters if letter.body == command.to_json()]) <= 1


async def is_untouched(stage: Stage, hero_id: int) -> None:
    """The hero is as it was made."""
    hero = await stage.hero(hero_id)
    assert hero is not None
    assert (hero["name"], hero["age"], hero["version"]) == ("Ada", 36, 1)


async def in_time(wait: Awaitable[Any]) -> None:
    """It came about before a test would hang."""
    async with asyncio.timeout(15):
        await wait
