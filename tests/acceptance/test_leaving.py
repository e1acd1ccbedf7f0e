"""A worker that is told to go finishes what it has in hand, gives back the rest untouched, and is gone in time."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from tests.harness.applied import assert_each_applied_once, creates, names
from tests.harness.ledger import announced, delivery_count, leftovers, send_all
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import running_worker
from worker.entity import Entity
from worker.ours import OURS
from worker.outcomes import Handled

MARGIN_SECONDS = 5.0


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_over(stage: Stage) -> AsyncIterator[None]:
    """A test that fails half-way leaves no commands to the next one."""
    yield
    await leftovers(stage)


@dataclass(slots=True)
class Hold:
    """A handler for `hero.create` that waits until it is let go."""

    at_it: set[str] = field(default_factory=set)
    let_go: asyncio.Event = field(default_factory=asyncio.Event)

    def entity(self) -> Entity:
        """Heroes with this handler."""
        return replace(OURS, handlers={**OURS.handlers, "hero.create": self._create})

    async def _create(self, session: AsyncSession, data: Any) -> Handled:
        self.at_it.add(data.name)
        await self.let_go.wait()
        return await OURS.handlers["hero.create"](session, data)

    async def has(self, count: int) -> None:
        """So many commands are with the handler."""

        async def enough() -> bool:
            return len(self.at_it) >= count

        await eventually(enough, f"{count} commands with the handler, there are {len(self.at_it)}")


@pytest.mark.parametrize("prefetch", [pytest.param(32, id="all in hand"), pytest.param(2, id="most still queued")])
async def test_a_leaving_worker_finishes_what_it_has_and_leaves_the_rest_untouched(
    stage: Stage, wire: Wire, prefetch: int
) -> None:
    hold, commands = Hold(), creates(f"Prefetch{prefetch}", 150)
    await send_all(wire, commands)
    async with running_worker(stage.settings(prefetch=prefetch), hold.entity()):
        await hold.has(16)
        asyncio.get_running_loop().call_later(0.3, hold.let_go.set)  # while it is leaving

    finished = set(await names(stage, f"Prefetch{prefetch}"))
    assert hold.at_it == finished
    await assert_each_applied_once(stage, wire, [one for one in commands if one.data.name in finished])
    left = await leftovers(stage)
    assert sorted(message.body for message in left) == sorted(
        one.to_json() for one in commands if one.data.name not in finished
    )
    assert [delivery_count(message) for message in left] == [0] * len(left)
    assert len(finished) >= (len(commands) if prefetch == 32 else 16)
    assert left or prefetch == 32


async def test_a_worker_that_leaves_while_commands_pour_in_loses_none_and_applies_none_twice(
    stage: Stage, wire: Wire
) -> None:
    commands = creates("Pouring", 300)
    async with running_worker(stage.settings(prefetch=3)):
        pouring = asyncio.create_task(send_all(wire, commands))
        await announced(wire, commands[:20])
    await pouring
    finished = set(await names(stage, "Pouring"))
    left = await leftovers(stage)
    bodies = {message.body for message in left}
    assert {one.to_json() for one in commands if one.data.name not in finished} <= bodies
    assert {delivery_count(message) for message in left} <= {0, 1}, "what was just on its way may count once"

    again = [one for one in commands if one.to_json() in bodies]
    async with running_worker(stage.settings()):
        await send_all(wire, again)
        await announced(wire, commands)
    await assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []


async def test_a_worker_that_can_not_finish_leaves_in_time_and_the_next_one_applies_each_command_once(
    stage: Stage, wire: Wire
) -> None:
    hold, commands = Hold(), creates("Blocked", 60)
    loop = asyncio.get_running_loop()
    await send_all(wire, commands)
    async with running_worker(stage.settings(shutdown_timeout_seconds=1), hold.entity()):
        await hold.has(16)
        told_at = loop.time()
    assert loop.time() - told_at < 1 + MARGIN_SECONDS

    async with running_worker(stage.settings()):
        hold.let_go.set()  # whoever still sat in the first worker's handler must not come back to life
        await announced(wire, commands)
    await assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []
