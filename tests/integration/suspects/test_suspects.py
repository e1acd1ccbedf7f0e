"""A start without an end is what a crash leaves behind; a failure and a cancellation leave nothing."""

import asyncio
from uuid import uuid4

import pytest

from tests.harness.stage import Stage, eventually
from tests.integration.suspects.conftest import starts
from worker.persistence.database import Database
from worker.persistence.suspects import Suspects


async def _crash(database: Database, command_id: str) -> int:
    """What a process leaves that dies in the middle, a start without an end; how many had died before."""
    return await Suspects(database.side_sessions)._started(command_id)


async def test_every_crash_is_counted_and_a_good_end_forgets_them_all(
    stage: Stage, database: Database, suspects: Suspects
) -> None:
    command_id = str(uuid4())
    assert [await _crash(database, command_id) for _ in range(3)] == [0, 1, 2]
    async with suspects.started(command_id) as crashes:
        assert crashes == 3
    assert await starts(stage, command_id) == 0
    async with suspects.started(command_id) as crashes:
        assert crashes == 0


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_failure_is_no_crash_however_often_it_happens(
    stage: Stage, database: Database, suspects: Suspects, error: type[BaseException]
) -> None:
    command_id = str(uuid4())
    await _crash(database, command_id)
    seen = []

    async def fail() -> None:
        async with suspects.started(command_id) as crashes:
            seen.append(crashes)
            raise error

    for _ in range(5):
        with pytest.raises(error):
            await fail()
    assert seen == [1] * 5

    async def only_the_crash_counts() -> bool:
        return await starts(stage, command_id) == 1

    await eventually(only_the_crash_counts, "each failure is an end")


async def test_a_start_whose_end_was_never_written_counts_for_nobody_while_its_process_goes_on(
    stage: Stage, database: Database, suspects: Suspects
) -> None:
    """Its commit took effect though the caller never heard of it, say: three times, and still no crash."""
    command_id = str(uuid4())
    for _ in range(3):
        await suspects._started(command_id)
    async with suspects.started(command_id) as crashes:
        assert crashes == 0


async def test_a_process_that_leaves_in_good_order_leaves_no_start_behind(stage: Stage, suspects: Suspects) -> None:
    command_id = str(uuid4())
    await suspects._started(command_id)
    await suspects.finish()
    assert await starts(stage, command_id) == 0
