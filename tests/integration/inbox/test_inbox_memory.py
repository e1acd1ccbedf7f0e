"""The inbox remembers which events are still owed, and forgets in good order what is old and out."""

import asyncio

from sqlalchemy import text

from tests.harness.claims import TIME, age, handled, look, mark
from tests.harness.commands import create
from tests.harness.stage import Stage
from worker.outcomes import Letter, Outcome, OutcomeKind, dead_lettered
from worker.persistence import inbox
from worker.persistence.database import Database
from worker.persistence.inbox import Claim


async def test_what_is_marked_owes_nothing(database: Database) -> None:
    one, other = create(), create()
    await handled(database, one, other)
    await mark(database, one)
    found, owing = await look(database, one), await look(database, other)
    assert isinstance(found, Outcome)
    assert isinstance(owing, Outcome)
    assert (found.published, owing.published) == (True, False)


async def test_a_mark_of_an_earlier_outcome_says_nothing_of_a_new_one(database: Database, stage: Stage) -> None:
    """A dead letter that is replayed gets a new row; a worker that was cut off may still hold the mark of the old."""
    command = create()
    await handled(database, command)
    async with database.side_sessions.begin() as session:
        await inbox.mark_published(session, {command.id: "the first event of the outcome before"})
    assert not await stage.is_published(command.id)


async def test_a_mark_stays_as_it_was_first(database: Database, stage: Stage) -> None:
    command = create()
    await handled(database, command)
    await mark(database, command)
    first = await stage.inbox(command.id)
    await mark(database, command)
    assert await stage.inbox(command.id) == first
    await mark(database)  # an empty group is no mistake


async def test_the_unpublished_come_oldest_first_and_only_those_that_waited(database: Database) -> None:
    commands = [create() for _ in range(5)]
    await handled(database, *commands)
    oldest, middle, young, marked, letter = commands
    await age(database, oldest, hours=3)
    await age(database, middle, hours=2)
    await age(database, marked, hours=4)
    await age(database, letter, hours=5)
    await mark(database, marked)
    async with database.transactions.begin() as (driver, _):
        await inbox.record(driver, dead_lettered(letter, Letter("r", "d"), TIME))
    async with database.side_sessions() as session:
        owed = await inbox.unpublished(session, older_than_seconds=3600, at_most=10)
        first = await inbox.unpublished(session, older_than_seconds=3600, at_most=1)
        young_too = await inbox.unpublished(session, older_than_seconds=-1, at_most=10)
    assert [outcome.command_id for outcome in owed] == [oldest.id, middle.id]
    assert [outcome.command_id for outcome in first] == [oldest.id]
    assert [outcome.command_id for outcome in young_too] == [oldest.id, middle.id, young.id]
    assert all(outcome.kind is OutcomeKind.APPLIED and outcome.events and not outcome.published for outcome in owed)


async def prune(database: Database, at_most: int = 100) -> int:
    async with database.side_sessions.begin() as session:
        return await inbox.prune(session, older_than_days=7, at_most=at_most)


async def remaining(stage: Stage) -> set[str]:
    return {str(row["command_id"]) for row in await stage.rows("SELECT command_id FROM inbox")}


async def test_pruning_forgets_what_is_old_and_out_and_nothing_else(database: Database, stage: Stage) -> None:
    old, young, owing = create(), create(), create()
    await handled(database, old, young, owing)
    await mark(database, old, young)
    await age(database, old, days=7, minutes=1)
    await age(database, young, days=6, hours=23)
    await age(database, owing, days=400)
    assert await prune(database) == 1
    assert await remaining(stage) == {young.id, owing.id}


async def test_pruning_goes_in_small_steps(database: Database, stage: Stage) -> None:
    commands = [create() for _ in range(5)]
    await handled(database, *commands)
    await mark(database, *commands)
    for command in commands:
        await age(database, command, days=8)
    assert [await prune(database, 2) for _ in range(4)] == [2, 2, 1, 0]
    assert await remaining(stage) == set()


async def test_pruning_passes_by_what_somebody_else_holds(database: Database, stage: Stage) -> None:
    held, free = create(), create()
    await handled(database, held, free)
    await mark(database, held, free)
    for command in (held, free):
        await age(database, command, days=8)
    async with database.side_sessions.begin() as holder:
        await holder.execute(text("SELECT 1 FROM inbox WHERE command_id = :id FOR UPDATE"), {"id": held.id})
        async with asyncio.timeout(1):
            assert await prune(database) == 1
    assert await remaining(stage) == {held.id}


async def test_two_that_prune_at_once_share_the_work(database: Database, stage: Stage) -> None:
    commands = [create() for _ in range(20)]
    await handled(database, *commands)
    await mark(database, *commands)
    for command in commands:
        await age(database, command, days=8)
    assert sum(await asyncio.gather(*(prune(database, 20) for _ in range(4)))) == 20
    assert await remaining(stage) == set()


async def test_a_forgotten_command_is_new_again(database: Database) -> None:
    """The promise holds as long as the row is kept, and no longer."""
    command = create()
    await handled(database, command)
    await mark(database, command)
    await age(database, command, days=8)
    await prune(database)
    assert isinstance(await look(database, command), Claim)


async def test_the_questions_about_the_unpublished_use_their_index(database: Database) -> None:
    """A table of a week must not be read in full twice a minute."""
    await handled(database, create())
    async with database.side_sessions() as session:
        await session.execute(text("SET LOCAL enable_seqscan = off"))
        question = (
            "EXPLAIN SELECT command_id FROM inbox WHERE published_at IS NULL AND outcome != 'dead_lettered'"
            " AND handled_at < now() ORDER BY handled_at LIMIT 100"
        )
        plan = "\n".join((await session.execute(text(question))).scalars())
    assert "ix_inbox_unpublished" in plan
    assert "Sort" not in plan
