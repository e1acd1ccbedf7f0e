"""The sweeper publishes what nobody else will, oldest first and as it was stored; it forgets only what owes nothing."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
import pytest_asyncio

from tests.harness.ledger import everything_heard
from tests.harness.stage import Stage, eventually
from tests.harness.wire import Wire, document
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import keep_connected
from worker.messaging.publisher import EventPublisher
from worker.outcomes import Outcome
from worker.persistence import inbox
from worker.persistence.database import Database
from worker.persistence.gate import Gate
from worker.persistence.marker import Marker
from worker.sweeper import Sweeper

SWEEP_AFTER_SECONDS = 60.0
RETENTION_DAYS = 7
DAY_SECONDS = 86_400

_INSERT = """
INSERT INTO inbox (command_id, command_type, fingerprint, outcome, events, handled_at, published_at)
VALUES ($1, 'hero.create', '\\x00', $2, $3, now() - make_interval(secs => $4),
        CASE WHEN $5 THEN now() - make_interval(secs => $4) END)
"""


@asynccontextmanager
async def _sweeper(stage: Stage, sweep_after_seconds: float = SWEEP_AFTER_SECONDS) -> AsyncIterator[Sweeper]:
    database = Database.of(stage.database_url, pool_size=2, statement_timeout_seconds=5)
    connection = await keep_connected(stage.rabbitmq_url, "test")
    marker = Marker(database.side_sessions)
    events = EventPublisher(ConfirmedChannel(connection, 5))
    gate = Gate({"database": database.probe}, database.renew)
    try:
        yield Sweeper(database.side_sessions, events, marker, gate, sweep_after_seconds, RETENTION_DAYS)
    finally:
        await gate.stop()
        await connection.close()
        await database.close()


@pytest_asyncio.fixture(loop_scope="session")
async def sweeper(stage: Stage) -> AsyncIterator[Sweeper]:
    """Driven by hand, on an empty inbox."""
    await stage.rows("TRUNCATE inbox")
    async with _sweeper(stage) as driven:
        yield driven


@dataclass(frozen=True, slots=True)
class Row:
    """An inbox row as a worker left it so long ago."""

    id: str
    event_ids: list[str]


async def _left(
    stage: Stage, age_seconds: float, *, published: bool = False, outcome: str = "applied", events: int = 1
) -> Row:
    command_id = str(uuid4())
    envelopes = [_envelope(command_id) for _ in range(events)]
    await stage.rows(_INSERT, command_id, outcome, json.dumps(envelopes), age_seconds, published)
    return Row(command_id, [envelope["id"] for envelope in envelopes])


async def _many_left(stage: Stage, ages_seconds: Sequence[float], *, published: bool = False) -> list[Row]:
    """The same, many at once."""
    envelopes = [_envelope(str(uuid4())) for _ in ages_seconds]
    connection = await asyncpg.connect(stage.database_url.replace("+asyncpg", ""))
    try:
        await connection.executemany(
            _INSERT,
            [
                (envelope["causationid"], "applied", json.dumps([envelope]), age, published)
                for envelope, age in zip(envelopes, ages_seconds, strict=True)
            ],
        )
    finally:
        await connection.close()
    return [Row(envelope["causationid"], [envelope["id"]]) for envelope in envelopes]


def _envelope(command_id: str) -> dict[str, Any]:
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/heroes-worker",
        "type": "hero.created",
        "time": "2026-01-02T03:04:05.678901Z",
        "correlationid": command_id,
        "causationid": command_id,
        "data": {"hero": {"id": 1, "name": "Zoë"}},
    }


async def _remembered(stage: Stage) -> set[str]:
    return {str(row["command_id"]) for row in await stage.rows("SELECT command_id FROM inbox")}


async def _owing(stage: Stage) -> set[str]:
    rows = await stage.rows("SELECT command_id FROM inbox WHERE published_at IS NULL")
    return {str(row["command_id"]) for row in rows}


def _event_ids(rows: Sequence[Row]) -> list[str]:
    return [event_id for row in rows for event_id in row.event_ids]


async def test_what_stood_unpublished_too_long_is_published_oldest_first_with_the_stored_ids(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    ages = (300, 900, 70, 600)
    rows = {age: await _left(stage, age, events=3) for age in ages}
    rejected = await _left(stage, 100, outcome="rejected")
    await _left(stage, 500, published=True)
    fresh = await _left(stage, 5)
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
    rows = await _many_left(stage, range(10_000, 9_770, -1))
    assert await sweeper.sweep() == len(rows)
    await everything_heard(wire)
    heard = [document(message)["id"] for message in wire.events][: len(rows) + 1]
    assert heard[: len(rows)] == _event_ids(rows)


async def test_a_swept_event_is_byte_for_byte_the_one_that_was_published_before(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    row = await _left(stage, 100)
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
    confirmed, owed = await _left(stage, 200), await _left(stage, 100)
    (outcome,) = await _unpublished(sweeper, confirmed)
    sweeper.marker.confirmed(outcome)
    assert await sweeper.sweep() == 1
    ledger = await everything_heard(wire)
    assert [event["id"] for event in ledger.first] == owed.event_ids


async def test_what_waits_to_be_marked_does_not_end_the_sweep_before_what_is_owed(
    stage: Stage, wire: Wire, sweeper: Sweeper
) -> None:
    """A whole look at the inbox may find nothing but rows that are confirmed already."""
    rows = await _many_left(stage, range(10_000, 9_970, -1))
    for row in rows[:20]:
        (outcome,) = await _unpublished(sweeper, row)
        sweeper.marker.confirmed(outcome)
    assert await sweeper.sweep() == 10
    ledger = await everything_heard(wire)
    assert [event["id"] for event in ledger.first] == _event_ids(rows[20:])


async def test_a_sweep_ends_though_no_mark_can_be_written(
    stage: Stage, wire: Wire, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = await _many_left(stage, range(10_000, 9_970, -1))

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


async def test_only_what_is_old_and_owes_nothing_is_forgotten(stage: Stage, sweeper: Sweeper) -> None:
    old, young = (RETENTION_DAYS + 0.1) * DAY_SECONDS, (RETENTION_DAYS - 0.1) * DAY_SECONDS
    forgotten = [await _left(stage, old, published=True, outcome=one) for one in ("applied", "rejected")]
    kept = [
        await _left(stage, old),
        await _left(stage, old, outcome="dead_lettered"),
        await _left(stage, young, published=True),
        await _left(stage, 0, published=True),
    ]
    assert await sweeper.prune() == len(forgotten)
    assert await _remembered(stage) == {row.id for row in kept}


async def test_many_rows_are_forgotten_in_batches_that_wait_for_nobody(
    stage: Stage, sweeper: Sweeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.sweeper._PRUNED_AT_ONCE", 10)
    old = (RETENTION_DAYS + 1) * DAY_SECONDS
    rows = await _many_left(stage, [old] * 35, published=True)
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
    assert await _remembered(stage) == {rows[0].id}
    assert (await stage.rows(batches))[0]["n"] == 4


async def test_it_sweeps_and_prunes_by_itself_and_survives_a_failing_round(
    stage: Stage, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stage.rows("TRUNCATE inbox")
    owed = await _left(stage, 100)
    old = await _left(stage, (RETENTION_DAYS + 1) * DAY_SECONDS, published=True)
    rounds = 0

    async with _sweeper(stage, sweep_after_seconds=0.1) as sweeper:
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
    return row.id not in await _remembered(stage)
