"""The sweeper publishes what nobody else will, oldest first and as it was stored, and goes on after a failing round."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from tests.harness.inbox_rows import DAY_SECONDS, RETENTION_DAYS, Row, driven_sweeper, left, many_left, remembered
from tests.harness.ledger import everything_heard
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document
from worker.outcomes import Outcome
from worker.persistence import inbox
from worker.sweeper import Sweeper


async def _owing(stage: Stage) -> set[str]:
    rows = await stage.rows("SELECT command_id FROM inbox WHERE published_at IS NULL")
    return {str(row["command_id"]) for row in rows}


def _event_ids(rows: Sequence[Row]) -> list[str]:
    return [event_id for row in rows for event_id in row.event_ids]


async def test_what_stood_unpublished_too_long_is_published_oldest_first_with_the_stored_ids(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    ages = (300, 900, 70, 600)
    rows = {age: await left(stage, age, events=3) for age in ages}
    rejected = await left(stage, 100, outcome="rejected")
    await left(stage, 500, published=True)
    fresh = await left(stage, 5)
    assert await sweeper.sweep() == len(ages) + 1
    ledger = await everything_heard(wire)
    oldest_first = [rows[900], rows[600], rows[300], rejected, rows[70]]
    assert [event["id"] for event in ledger.first] == _event_ids(oldest_first)
    await sweeper.marker.flush()
    assert await _owing(stage) == {fresh.id}
    assert await sweeper.sweep() == 0


async def test_more_than_one_batch_is_swept_in_order_and_each_event_once(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    rows = await many_left(stage, range(10_000, 9_770, -1))
    assert await sweeper.sweep() == len(rows)
    await everything_heard(wire)
    heard = [document(message)["id"] for message in wire.events][: len(rows) + 1]
    assert heard[: len(rows)] == _event_ids(rows)


async def test_a_swept_event_is_byte_for_byte_the_one_that_was_published_before(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    row = await left(stage, 100)
    await sweeper.sweep()
    await sweeper.marker.flush()
    await stage.rows("UPDATE inbox SET published_at = NULL WHERE command_id = $1", row.id)
    await sweeper.sweep()
    first, second = await wire.event_messages_of(row.id, 2)
    assert first.body == second.body
    (await everything_heard(wire)).assert_one_content_each()


async def _unpublished(sweeper: Sweeper, row: Row) -> list[Outcome]:
    async with sweeper.sessions() as session:
        owed = await inbox.unpublished(session, older_than_seconds=0, at_most=100)
    return [outcome for outcome in owed if outcome.command_id == row.id]


async def test_what_was_confirmed_and_is_not_marked_yet_is_not_published_again(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    confirmed, owed = await left(stage, 200), await left(stage, 100)
    (outcome,) = await _unpublished(sweeper, confirmed)
    sweeper.marker.confirmed(outcome)
    assert await sweeper.sweep() == 1
    ledger = await everything_heard(wire)
    assert [event["id"] for event in ledger.first] == owed.event_ids


async def test_what_waits_to_be_marked_does_not_end_the_sweep_before_what_is_owed(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    """A whole look at the inbox may find nothing but rows that are confirmed already."""
    rows = await many_left(stage, range(10_000, 9_970, -1))
    for row in rows[:20]:
        (outcome,) = await _unpublished(sweeper, row)
        sweeper.marker.confirmed(outcome)
    assert await sweeper.sweep() == 10
    ledger = await everything_heard(wire)
    assert [event["id"] for event in ledger.first] == _event_ids(rows[20:])


async def test_a_sweep_ends_though_no_mark_can_be_written(
    stage: Stage, wire: Wire, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = await many_left(stage, range(10_000, 9_970, -1))

    async def fails(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as patched:
        patched.setattr(inbox, "mark_published", fails)
        first = await asyncio.wait_for(sweeper.sweep(), 10)
    assert first
    assert await asyncio.wait_for(sweeper.sweep(), 10) == len(rows) - first
    await everything_heard(wire)
    heard = [document(message)["id"] for message in wire.events][: len(rows)]
    assert heard == _event_ids(rows), "each once"


async def test_it_sweeps_and_prunes_by_itself_and_survives_a_failing_round(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.rows("TRUNCATE inbox")
    owed = await left(stage, 100)
    old = await left(stage, (RETENTION_DAYS + 1) * DAY_SECONDS, published=True)
    rounds = 0

    async with driven_sweeper(stage, sweep_after_seconds=0.1) as sweeper:
        publish = sweeper.events.publish

        async def fail_at_first(events: Any) -> None:
            nonlocal rounds
            rounds += 1
            if rounds == 1:
                raise ZeroDivisionError
            await publish(events)

        monkeypatch.setattr(sweeper.events, "publish", fail_at_first)
        running = asyncio.create_task(sweeper.run())
        await wire.events_of(owed.id)
        await eventually(lambda: _is_forgotten(stage, old), "the old row is forgotten")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert running.cancelled()


async def _is_forgotten(stage: Stage, row: Row) -> bool:
    return row.id not in await remembered(stage)
