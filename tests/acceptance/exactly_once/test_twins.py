"""Twins of a command that two workers handle at the same moment have one effect and one set of event ids."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.channels import SLOTS, command_queues
from contracts.envelope import Command
from tests.harness.commands import create, update
from tests.harness.effects import assert_inbox_holds, heroes_of
from tests.harness.ledger import announced, everything_heard, leftovers
from tests.harness.stage import Stage
from tests.harness.wire import Wire
from worker.app import running_worker
from worker.entity import Entity
from worker.ours import OURS
from worker.outcomes import Handled
from worker.persistence.unit_of_work import Handler

PAIRS = 200
PAIRS_AT_ONCE = 10  # below a worker's concurrency: a pair must not wait for a permit that another pair holds
TWIN_PATIENCE_SECONDS = 1.0

_SOMEBODY_WAITS_FOR_ME = text(
    "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid)"
)


@dataclass(slots=True)
class Meetings:
    """Wraps handlers so that each waits until its command's twin waits for it in the database."""

    handled: list[Any] = field(default_factory=list)
    met: int = 0

    def entity(self) -> Entity:
        """Heroes, with every handler wrapped."""
        return replace(OURS, handlers={kind: self._wrapped(handler) for kind, handler in OURS.handlers.items()})

    def _wrapped(self, handler: Handler) -> Handler:
        async def wait_for_the_twin(session: AsyncSession, data: Any) -> Handled:
            self.handled.append(data)
            deadline = asyncio.get_running_loop().time() + TWIN_PATIENCE_SECONDS
            while not (here := await session.scalar(_SOMEBODY_WAITS_FOR_ME)):
                if asyncio.get_running_loop().time() > deadline:
                    break
                await asyncio.sleep(0.005)
            self.met += bool(here)
            return await handler(session, data)

        return wait_for_the_twin


@asynccontextmanager
async def _two_workers(stage: Stage, entity: Entity) -> AsyncIterator[None]:
    """Each has half of the queues: both are active, also on a broker that would give all of them to the first."""
    slots = command_queues()[:SLOTS]
    async with _worker_with(slots[::2], stage, entity), _worker_with(slots[1::2], stage, entity):
        yield


@asynccontextmanager
async def _worker_with(queues: Sequence[str], stage: Stage, entity: Entity) -> AsyncIterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("worker.assembly.command_queues", lambda: tuple(queues))
        running = running_worker(stage.settings(worker_id=queues[0]), entity)
        worker = await running.__aenter__()
    try:
        assert await worker.intake.unattached() == []
        yield
    finally:
        await running.__aexit__(None, None, None)


async def _send_pairs_at_the_same_moment(stage: Stage, wire: Wire, commands: Sequence[Command]) -> None:
    """Each command from two connections at once: one copy in its own slot, one in the next, with the other worker."""
    async with Wire.connected(stage) as other:
        for start in range(0, len(commands), PAIRS_AT_ONCE):
            pairs = commands[start : start + PAIRS_AT_ONCE]
            wrong_slots = [f"{(int(command.routing_key) + 1) % SLOTS:02d}" for command in pairs]
            await asyncio.gather(
                *(wire.send(command) for command in pairs),
                *(other.publish(command.to_json(), key) for command, key in zip(pairs, wrong_slots, strict=True)),
            )
            await announced(wire, pairs)


async def test_twins_that_meet_in_the_database_have_one_effect_and_one_set_of_event_ids(
    stage: Stage, wire: Wire
) -> None:
    meetings = Meetings()
    creates = [create(name=f"Twin {number}", age=0) for number in range(PAIRS)]
    async with _two_workers(stage, meetings.entity()):
        await _send_pairs_at_the_same_moment(stage, wire, creates)
        updates = [update(hero_id, {"age": 1}) for hero_id in heroes_of(wire, creates[: PAIRS // 4])]
        await _send_pairs_at_the_same_moment(stage, wire, updates)

    commands = [*creates, *updates]
    assert len(meetings.handled) == len(commands), "a twin reached its handler as well"
    assert meetings.met > 0.9 * len(commands), f"only {meetings.met} of {len(commands)} pairs really met"
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    rows = await stage.rows("SELECT age, version FROM hero WHERE name LIKE 'Twin %'")
    assert sorted((row["age"], row["version"]) for row in rows) == [(0, 1)] * 150 + [(1, 2)] * 50
    await assert_inbox_holds(stage, commands)
    assert await leftovers(stage) == []
    assert wire.letters == []
