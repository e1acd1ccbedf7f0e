"""Inbox rows as a worker left them some time ago, and a sweeper that is driven by hand among them."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import asyncpg

from tests.harness.stage import Stage
from worker.messaging.channel import ConfirmedChannel
from worker.messaging.connection import keep_connected
from worker.messaging.publisher import EventPublisher
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
async def driven_sweeper(stage: Stage, sweep_after_seconds: float = SWEEP_AFTER_SECONDS) -> AsyncIterator[Sweeper]:
    """A sweeper with connections of its own, which does nothing before it is told to."""
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


@dataclass(frozen=True, slots=True)
class Row:
    """An inbox row as a worker left it so long ago."""

    id: str
    event_ids: list[str]


async def left(
    stage: Stage, age_seconds: float, *, published: bool = False, outcome: str = "applied", events: int = 1
) -> Row:
    """One row, left so long ago."""
    command_id = str(uuid4())
    envelopes = [_envelope(command_id) for _ in range(events)]
    await stage.rows(_INSERT, command_id, outcome, json.dumps(envelopes), age_seconds, published)
    return Row(command_id, [envelope["id"] for envelope in envelopes])


async def many_left(stage: Stage, ages_seconds: Sequence[float], *, published: bool = False) -> list[Row]:
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


async def remembered(stage: Stage) -> set[str]:
    """The ids of all rows that are there."""
    return {str(row["command_id"]) for row in await stage.rows("SELECT command_id FROM inbox")}
