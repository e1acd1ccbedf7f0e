"""A start without an end is what a crash leaves behind; a failure and a cancellation leave nothing."""

import asyncio
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from sqlalchemy import text

from tests.harness.stage import Stage, eventually
from worker.errors import HeldBackError
from worker.persistence.database import Database
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects

CONCURRENCY = 4


@pytest_asyncio.fixture(loop_scope="session")
async def database(stage: Stage) -> AsyncIterator[Database]:
    """As a worker opens it."""
    database = Database.of(stage.database_url, pool_size=CONCURRENCY, statement_timeout_seconds=5)
    yield database
    await database.close()


@pytest.fixture
def permits() -> Permits:
    """The permits of one process."""
    return Permits(CONCURRENCY)


@pytest_asyncio.fixture(loop_scope="session")
async def suspects(database: Database, permits: Permits) -> AsyncIterator[Suspects]:
    """Those of one process; afterwards each end is written, so that nobody uses the database any more."""
    suspects = Suspects(database.side_sessions, permits)
    yield suspects
    async with asyncio.timeout(10):
        await asyncio.gather(*suspects._ending.values())


async def _crash(database: Database, command_id: str) -> int:
    """What a process leaves that dies in the middle; how many had died before."""
    abandoned = Suspects(database.side_sessions, Permits(1)).alone(command_id)
    crashes = await abandoned.__aenter__()
    _ABANDONED.append(abandoned)
    return crashes


_ABANDONED: list[object] = []  # collected, they would see GeneratorExit, which no dead process does


async def _starts(stage: Stage, command_id: str) -> int:
    return len(await stage.rows("SELECT FROM suspect WHERE command_id = $1", command_id))


async def test_every_crash_is_counted_and_a_good_end_forgets_them_all(
    stage: Stage, database: Database, suspects: Suspects
) -> None:
    command_id = str(uuid4())
    assert [await _crash(database, command_id) for _ in range(3)] == [0, 1, 2]
    async with suspects.alone(command_id) as crashes:
        assert crashes == 3
    assert await _starts(stage, command_id) == 0
    async with suspects.alone(command_id) as crashes:
        assert crashes == 0


@pytest.mark.parametrize("error", [ValueError, asyncio.CancelledError])
async def test_a_failure_is_no_crash_however_often_it_happens(
    stage: Stage, database: Database, suspects: Suspects, error: type[BaseException]
) -> None:
    command_id = str(uuid4())
    await _crash(database, command_id)
    seen = []

    async def fail() -> None:
        async with suspects.alone(command_id) as crashes:
            seen.append(crashes)
            raise error

    for _ in range(5):
        with pytest.raises(error):
            await fail()
    assert seen == [1] * 5

    async def only_the_crash_counts() -> bool:
        return await _starts(stage, command_id) == 1

    await eventually(only_the_crash_counts, "each failure is an end")


async def test_a_start_whose_end_was_never_written_counts_for_nobody_while_its_process_goes_on(
    stage: Stage, database: Database, suspects: Suspects
) -> None:
    """Its commit took effect though the caller never heard of it, say: three times, and still no crash."""
    command_id = str(uuid4())
    for _ in range(3):
        await suspects._started(command_id)
    async with suspects.alone(command_id) as crashes:
        assert crashes == 0


async def test_a_process_that_leaves_in_good_order_leaves_no_start_behind(stage: Stage, suspects: Suspects) -> None:
    command_id = str(uuid4())
    await suspects._started(command_id)
    await suspects.finish()
    assert await _starts(stage, command_id) == 0


async def test_an_end_that_can_not_be_written_holds_up_nobody(
    stage: Stage, database: Database, suspects: Suspects, permits: Permits
) -> None:
    command_id = str(uuid4())
    async with database.sessions.begin() as session:

        async def fail() -> None:
            async with suspects.alone(command_id):
                await session.execute(text("SELECT FROM suspect WHERE command_id = :id FOR UPDATE"), {"id": command_id})
                raise ValueError("failed")

        with pytest.raises(ValueError, match="failed"):
            await fail()
        async with asyncio.timeout(5), permits.all():
            pass
        async with asyncio.timeout(5), suspects.alone(str(uuid4())):
            pass


async def test_nobody_begins_before_a_good_end_is_on_record(
    stage: Stage, database: Database, suspects: Suspects, permits: Permits
) -> None:
    """If the next one ended the process, the start of the good one would stand there without an end, too."""
    command_id = str(uuid4())
    async with database.sessions.begin() as session:

        async def end_well() -> None:
            async with suspects.alone(command_id):
                await session.execute(text("SELECT FROM suspect WHERE command_id = :id FOR UPDATE"), {"id": command_id})

        ending = asyncio.create_task(end_well())

        async def end_waits_for_the_row() -> bool:
            waiting = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            return bool(await stage.rows(waiting)) or ending.done()

        await eventually(end_waits_for_the_row, "the end is being written")
        assert not ending.done()
        assert permits._permits._value == 0
    await ending
    assert await _starts(stage, command_id) == 0


async def test_nothing_else_is_at_work_beside_a_suspect(suspects: Suspects, permits: Permits) -> None:
    at_work, most_beside, alone = 0, 0, asyncio.Event()

    async def work() -> None:
        nonlocal at_work
        async with permits.one():
            at_work += 1
            await asyncio.sleep(0)
            at_work -= 1

    async def suspect() -> None:
        nonlocal most_beside
        async with suspects.alone(str(uuid4())):
            alone.set()
            for _ in range(20):
                most_beside = max(most_beside, at_work)
                await asyncio.sleep(0)

    await asyncio.gather(*(work() for _ in range(50)), suspect(), suspect(), *(work() for _ in range(50)))
    assert alone.is_set()
    assert most_beside == 0


async def test_a_suspect_that_may_not_begin_yet_has_no_start_on_record_and_holds_no_permit(
    stage: Stage, suspects: Suspects, permits: Permits
) -> None:
    command_id, asked = str(uuid4()), 0

    def may_begin() -> None:
        nonlocal asked
        asked += 1
        assert permits._permits._value == 0, "it asks when nobody else can take the room any more"
        raise HeldBackError(asyncio.Event().wait)

    async def begin() -> None:
        async with suspects.alone(command_id, may_begin):
            raise AssertionError("it must not begin")

    with pytest.raises(HeldBackError):
        await begin()
    assert asked == 1
    assert await _starts(stage, command_id) == 0
    async with asyncio.timeout(5), permits.all():
        pass


async def test_who_is_cancelled_while_waiting_to_be_alone_gives_everything_back(
    suspects: Suspects, permits: Permits
) -> None:
    async with permits.one():
        waiting = asyncio.create_task(suspects.alone(str(uuid4())).__aenter__())

        async def has_the_rest() -> bool:
            return permits._permits._value == 0

        await eventually(has_the_rest, "all but one permit are taken")
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
    async with asyncio.timeout(5), permits.all():
        pass
