"""A worker that is told to go finishes what it has in hand, gives back the rest untouched, and is gone in time."""

import asyncio
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import asyncpg
import pytest
import pytest_asyncio
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from tests.harness.cable import Cable
from tests.harness.commands import create
from tests.harness.ledger import announced, delivery_count, everything_heard, leftovers, send_all
from tests.harness.program import heroes
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


def _creates(name: str, count: int) -> list[Command]:
    return [create(name=f"{name} {number}") for number in range(count)]


async def _names(stage: Stage, prefix: str) -> list[str]:
    return [row["name"] for row in await stage.rows("SELECT name FROM hero WHERE name LIKE $1 || ' %'", prefix)]


async def _assert_each_applied_once(stage: Stage, wire: Wire, commands: Sequence[Command]) -> None:
    (prefix,) = {command.data.name.partition(" ")[0] for command in commands}
    assert sorted(await _names(stage, prefix)) == sorted(command.data.name for command in commands)
    ledger = await everything_heard(wire)
    ledger.assert_one_event_each(commands)
    ledger.assert_one_content_each()
    assert wire.letters == []


@pytest.mark.parametrize("prefetch", [pytest.param(32, id="all in hand"), pytest.param(2, id="most still queued")])
async def test_a_leaving_worker_finishes_what_it_has_and_leaves_the_rest_untouched(
    stage: Stage, wire: Wire, prefetch: int
) -> None:
    hold, commands = Hold(), _creates(f"Prefetch{prefetch}", 150)
    await send_all(wire, commands)
    async with running_worker(stage.settings(prefetch=prefetch), hold.entity()):
        await hold.has(16)
        asyncio.get_running_loop().call_later(0.3, hold.let_go.set)  # while it is leaving

    finished = set(await _names(stage, f"Prefetch{prefetch}"))
    assert hold.at_it == finished
    await _assert_each_applied_once(stage, wire, [one for one in commands if one.data.name in finished])
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
    commands = _creates("Pouring", 300)
    async with running_worker(stage.settings(prefetch=3)):
        pouring = asyncio.create_task(send_all(wire, commands))
        await announced(wire, commands[:20])
    await pouring
    finished = set(await _names(stage, "Pouring"))
    left = await leftovers(stage)
    bodies = {message.body for message in left}
    assert {one.to_json() for one in commands if one.data.name not in finished} <= bodies
    assert {delivery_count(message) for message in left} <= {0, 1}, "what was just on its way may count once"

    again = [one for one in commands if one.to_json() in bodies]
    async with running_worker(stage.settings()):
        await send_all(wire, again)
        await announced(wire, commands)
    await _assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []


async def test_a_worker_that_can_not_finish_leaves_in_time_and_the_next_one_applies_each_command_once(
    stage: Stage, wire: Wire
) -> None:
    hold, commands = Hold(), _creates("Blocked", 60)
    loop = asyncio.get_running_loop()
    await send_all(wire, commands)
    async with running_worker(stage.settings(shutdown_timeout_seconds=1), hold.entity()):
        await hold.has(16)
        told_at = loop.time()
    assert loop.time() - told_at < 1 + MARGIN_SECONDS

    async with running_worker(stage.settings()):
        hold.let_go.set()  # whoever still sat in the first worker's handler must not come back to life
        await announced(wire, commands)
    await _assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []


@asynccontextmanager
async def _hero_table_locked(stage: Stage) -> AsyncIterator[asyncpg.Connection]:
    """Nobody can write a hero meanwhile: whoever tries waits, at most for the worker's lock time-out."""
    connection = await asyncpg.connect(stage.database_url.replace("+asyncpg", ""))
    try:
        async with connection.transaction():
            await connection.execute("LOCK TABLE hero IN EXCLUSIVE MODE")
            yield connection
    finally:
        await connection.close()


async def _some_wait_for_the_table(stage: Stage) -> None:
    async def waiting() -> bool:
        return bool(await stage.rows("SELECT FROM pg_locks WHERE NOT granted AND relation = 'hero'::regclass LIMIT 1"))

    await eventually(waiting, "a command waits for the table")


async def test_a_process_told_to_go_finishes_what_it_has_in_hand_and_exits_with_0(stage: Stage, wire: Wire) -> None:
    commands = _creates("Process", 60)
    async with heroes(stage.environment(), "worker") as program:
        await program.said("takes commands")
        async with _hero_table_locked(stage):
            await send_all(wire, commands)
            await _some_wait_for_the_table(stage)
            program.tell(signal.SIGTERM)
            await program.said("leaving")
        assert await program.ended() == 0, program.output
        assert "everything in hand is finished" in program.output
    left = await leftovers(stage)
    assert [delivery_count(message) for message in left] == [0] * len(left)
    finished = set(await _names(stage, "Process"))
    assert finished, "it had commands in hand"
    assert sorted(message.body for message in left) == sorted(
        one.to_json() for one in commands if one.data.name not in finished
    )
    await _assert_each_applied_once(stage, wire, [one for one in commands if one.data.name in finished])


async def test_a_process_that_can_not_finish_is_gone_in_time_and_at_a_second_signal_at_once(
    stage: Stage, wire: Wire
) -> None:
    commands = _creates("Stuck", 30)
    patient, impatient = "30", "1"
    loop = asyncio.get_running_loop()
    async with _hero_table_locked(stage):
        await send_all(wire, commands)
        async with heroes(stage.environment(HEROES_SHUTDOWN_TIMEOUT_SECONDS=impatient), "worker") as program:
            await program.said("takes commands")
            await _some_wait_for_the_table(stage)
            program.tell(signal.SIGTERM)
            told_at = loop.time()
            assert await program.ended() == 0, program.output
            assert loop.time() - told_at < 1 + MARGIN_SECONDS
        async with heroes(stage.environment(HEROES_SHUTDOWN_TIMEOUT_SECONDS=patient), "worker") as program:
            await program.said("takes commands")
            await _some_wait_for_the_table(stage)
            program.tell(signal.SIGTERM)
            await program.said("leaving")
            program.tell(signal.SIGTERM)
            assert await program.ended(within_seconds=2) == -signal.SIGKILL
        assert await _names(stage, "Stuck") == []

    async with running_worker(stage.settings()):
        await announced(wire, commands)
    await _assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []


@pytest.mark.fault
async def test_a_process_whose_connections_lead_nowhere_is_gone_in_time_too(stage: Stage, wire: Wire) -> None:
    """Nothing that it says is heard any more, by the broker nor by the database."""
    commands, seconds = _creates("Nowhere", 30), 5
    loop = asyncio.get_running_loop()
    async with Cable.to(stage.rabbitmq_url) as amqp, Cable.to(stage.database_url) as sql:
        beyond = replace(stage, rabbitmq_url=amqp.url, database_url=sql.url)
        environment = beyond.environment(HEROES_SHUTDOWN_TIMEOUT_SECONDS=str(seconds))
        async with _hero_table_locked(stage), heroes(environment, "worker") as program:
            await program.said("takes commands")
            await send_all(wire, commands)
            await _some_wait_for_the_table(stage)
            amqp.swallow()
            sql.swallow()
            program.tell(signal.SIGTERM)
            told_at = loop.time()
            assert await program.ended() == 0, program.output
            assert loop.time() - told_at < seconds + 1
        amqp.cut()
        sql.cut()
    async with running_worker(stage.settings()):
        await announced(wire, commands)
    await _assert_each_applied_once(stage, wire, commands)
