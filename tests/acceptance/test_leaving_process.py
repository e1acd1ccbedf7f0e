"""A process that is told to go ends with 0 when it has finished, and is gone in time where it can not finish."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import asyncpg
import pytest
import pytest_asyncio

from tests.harness.applied import assert_each_applied_once, creates, names
from tests.harness.cable import Cable
from tests.harness.ledger import announced, delivery_count, leftovers, send_all
from tests.harness.program import heroes
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire
from worker.app import running_worker

MARGIN_SECONDS = 5.0


@pytest_asyncio.fixture(autouse=True, loop_scope="session")
async def nothing_left_over(stage: Stage) -> AsyncIterator[None]:
    """A test that fails half-way leaves no commands to the next one."""
    yield
    await leftovers(stage)


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
    commands = creates("Process", 60)
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
    finished = set(await names(stage, "Process"))
    assert finished, "it had commands in hand"
    assert sorted(message.body for message in left) == sorted(
        one.to_json() for one in commands if one.data.name not in finished
    )
    await assert_each_applied_once(stage, wire, [one for one in commands if one.data.name in finished])


async def test_a_process_that_can_not_finish_is_gone_in_time_and_at_a_second_signal_at_once(
    stage: Stage, wire: Wire
) -> None:
    commands = creates("Stuck", 30)
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
        assert await names(stage, "Stuck") == []

    async with running_worker(stage.settings()):
        await announced(wire, commands)
    await assert_each_applied_once(stage, wire, commands)
    assert await leftovers(stage) == []


@pytest.mark.fault
async def test_a_process_whose_connections_lead_nowhere_is_gone_in_time_too(stage: Stage, wire: Wire) -> None:
    """Nothing that it says is heard any more, by the broker nor by the database."""
    commands, seconds = creates("Nowhere", 30), 5
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
    await assert_each_applied_once(stage, wire, commands)
