"""The limit: what a good engineer writes by hand over aiormq and asyncpg to apply commands exactly once.

Invariant: it sends the statements, events and acks that the worker sends for the same commands, with the same prefetch
and as many connections; each event and each ack is a write of its own, as the client does it. Left out is everything
else: batches, lanes, retries, outages, dead letters.
"""

import asyncio
import signal
import sys
from hashlib import sha256
from typing import Any

import aiormq
import asyncpg
import orjson
import uvloop
from aiormq.abc import DeliveredMessage

from benchmarks.hand_written_commands import decoded, event_of, statement
from contracts.channels import EVENTS, command_queues
from contracts.envelope import CONTENT_TYPE
from worker.collector import spare_what_stays
from worker.settings import Settings, load_settings

CLAIM = (
    "INSERT INTO inbox (command_id, command_type, fingerprint) VALUES ($1::UUID, $2::VARCHAR, $3::BYTEA)"
    " ON CONFLICT DO NOTHING RETURNING clock_timestamp()"
)
RECORD = "UPDATE inbox SET outcome = 'applied', events = $1::JSON WHERE command_id = $2::UUID"
OWED = "SELECT events FROM inbox WHERE command_id = $1::UUID AND published_at IS NULL"
MARK = (
    "UPDATE inbox SET published_at = now() FROM unnest($1::UUID[], $2::TEXT[]) AS done(id, mark)"
    " WHERE command_id = done.id AND published_at IS NULL AND coalesce(events -> 0 ->> 'id', '') = done.mark"
)
TIMEOUTS = {"statement_timeout": "5000", "lock_timeout": "2000", "idle_in_transaction_session_timeout": "10000"}
MARK_EVERY_SECONDS = 0.1


class Loop:
    """One pool for transactions, one channel for events, and what is confirmed but not yet marked."""

    def __init__(self, pool: Any, events: aiormq.Channel) -> None:
        self._pool = pool
        self._events = events
        self._unmarked: dict[str, str] = {}

    async def handle(self, message: DeliveredMessage) -> None:
        """One delivery, in the task that aiormq makes for it: transaction, confirmed event, ack."""
        command = decoded(message.body)
        body = await self._applied(command)
        if body is not None:
            self._unmarked[command["id"]] = await self._publish(body, command)
        assert message.delivery_tag is not None
        await message.channel.basic_ack(message.delivery_tag, wait=False)

    async def mark(self) -> None:
        """Rows of confirmed events say so."""
        if self._unmarked:
            group, self._unmarked = self._unmarked, {}
            await self._pool.execute(MARK, [*group], [*group.values()])

    async def _applied(self, command: dict[str, Any]) -> bytes | None:
        canonical = orjson.dumps(command["data"], option=orjson.OPT_SORT_KEYS)
        mark = sha256(b"1\0" + command["type"].encode() + b"\0" + canonical).digest()
        async with self._pool.acquire() as connection, connection.transaction():
            now = await connection.fetchval(CLAIM, command["id"], command["type"], mark)
            if now is None:
                owed = await connection.fetchval(OWED, command["id"])
                return owed and orjson.dumps(orjson.loads(owed)[0])
            apply, arguments = statement(command)
            row = await connection.fetchrow(apply, *arguments)
            body = orjson.dumps(event_of(command, row, now), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
            await connection.execute(RECORD, f"[{body.decode()}]", command["id"])
            return body

    async def _publish(self, body: bytes, command: dict[str, Any]) -> str:
        event: dict[str, Any] = orjson.loads(body)
        properties = aiormq.spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=event["id"],
            correlation_id=command.get("correlationid") or command["id"],
            message_type=event["type"],
            app_id="heroes-worker",
        )
        # Without waiting for the drain: what is under way is bounded by the prefetch already.
        await self._events.basic_publish(
            body, exchange=EVENTS, routing_key=event["type"], properties=properties, wait=False
        )
        return str(event["id"])


async def _no_reset(_: Any) -> None:
    """Asyncpg's reset is a round trip for each release; SQLAlchemy's pool has none, and transactions need none."""


async def run(settings: Settings, part: int = 0, parts: int = 1) -> None:
    """Applies commands until SIGTERM, from every `parts`th queue: one consumer at a time has a queue."""
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    dsn, size = settings.database_url.replace("+asyncpg", "", 1), settings.concurrency
    consuming, publishing = [await aiormq.connect(settings.rabbitmq_url) for _ in range(2)]
    async with asyncpg.create_pool(
        dsn, min_size=size, max_size=size, reset=_no_reset, server_settings=TIMEOUTS
    ) as pool:
        events = await publishing.channel()
        assert isinstance(events, aiormq.Channel)
        loop = Loop(pool, events)
        for queue in command_queues()[part::parts]:
            channel = await consuming.channel(publisher_confirms=False)
            await channel.basic_qos(prefetch_count=settings.prefetch)
            await channel.basic_consume(queue, loop.handle)
        spare_what_stays()
        while not stop.is_set():
            await asyncio.sleep(MARK_EVERY_SECONDS)
            await loop.mark()
        await consuming.close()
        await loop.mark()
        await publishing.close()


if __name__ == "__main__":
    uvloop.run(run(load_settings(), *map(int, sys.argv[1:3])))
