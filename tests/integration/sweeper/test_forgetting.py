"""The sweeper forgets only what is old and owes nothing, in batches that wait for nobody."""

import asyncio

import asyncpg
import pytest

from tests.harness.inbox_rows import DAY_SECONDS, RETENTION_DAYS, left, many_left, remembered
from tests.harness.stage import Stage
from worker.sweeper import Sweeper


async def test_only_what_is_old_and_owes_nothing_is_forgotten(stage: Stage, sweeper: Sweeper) -> None:
    old, young = (RETENTION_DAYS + 0.1) * DAY_SECONDS, (RETENTION_DAYS - 0.1) * DAY_SECONDS
    forgotten = [await left(stage, old, published=True, outcome=one) for one in ("applied", "rejected")]
    kept = [
        await left(stage, old),
        await left(stage, old, outcome="dead_lettered"),
        await left(stage, young, published=True),
        await left(stage, 0, published=True),
    ]
    assert await sweeper.prune() == len(forgotten)
    assert await remembered(stage) == {row.id for row in kept}


async def test_many_rows_are_forgotten_in_batches_that_wait_for_nobody(
    stage: Stage, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweeper._PRUNED_AT_ONCE", 10)
    old = (RETENTION_DAYS + 1) * DAY_SECONDS
    rows = await many_left(stage, [old] * 35, published=True)
    batches = "SELECT count(*) AS n FROM (SELECT DISTINCT transaction FROM pruned) AS batch"
    await stage.rows("CREATE TABLE pruned (command_id uuid, transaction xid8 DEFAULT pg_current_xact_id())")
    await stage.rows(
        "CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN INSERT INTO pruned (command_id) VALUES (old.command_id); RETURN old; END $$"
    )
    await stage.rows("CREATE TRIGGER note BEFORE DELETE ON inbox FOR EACH ROW EXECUTE FUNCTION note()")
    holder = await asyncpg.connect(stage.database_url.replace("+asyncpg", ""))
    try:
        async with holder.transaction():
            await holder.execute("SELECT FROM inbox WHERE command_id = $1 FOR UPDATE", rows[0].id)
            assert await asyncio.wait_for(sweeper.prune(), 10) == len(rows) - 1
    finally:
        await holder.close()
        await stage.rows("DROP TRIGGER note ON inbox")
    assert await remembered(stage) == {rows[0].id}
    assert (await stage.rows(batches))[0]["n"] == 4
