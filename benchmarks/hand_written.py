"""The limit: what a good engineer writes by hand over aiormq and asyncpg to create heroes exactly once.

Invariant: it sends the statements, events, confirms and acks that the worker sends for `hero.create`, with the same
prefetch and as many connections. Everything else is left out: other commands, lanes, retries, outages, dead letters.
"""

import asyncio
import signal
from hashlib import sha256
from typing import Any
from uuid import uuid4

import aiormq
import asyncpg
import orjson
import uvloop
from aiormq.abc import DeliveredMessage

from contracts.channels import EVENTS, command_queues
from contracts.envelope import CONTENT_TYPE
from worker.settings import Settings, load_settings

CLAIM = (
    "INSERT INTO inbox (command_id, command_type, fingerprint) VALUES ($1::UUID, $2::VARCHAR, $3::BYTEA)"
    " ON CONFLICT DO NOTHING RETURNING clock_timestamp()"
)
CREATE = (
    "INSERT INTO hero (name, secret_name, age) VALUES ($1::VARCHAR, $2::VARCHAR, $3::INTEGER)"
    " RETURNING id, name, age, version, created_at, updated_at"
)
RECORD = "UPDATE inbox SET outcome = 'applied', events = $1::JSONB WHERE command_id = $2::UUID"
OWED = "SELECT events FROM inbox WHERE command_id = $1::UUID AND published_at IS NULL"
MARK = "UPDATE inbox SET published_at = now() WHERE command_id = any($1::UUID[]) AND published_at IS NULL"
TIMEOUTS = {"statement_timeout": "5000", "lock_timeout": "2000", "idle_in_transaction_session_timeout": "10000"}
MARK_EVERY_SECONDS = 0.1
ALLOWED = {"name", "secret_name", "age"}


def decoded(body: bytes) -> dict[str, Any]:
    """The command, checked as far as it must be. Raises: ValueError."""
    command: dict[str, Any] = orjson.loads(body)
    data = command["data"]
    if command["specversion"] != "1.0" or command["type"] != "hero.create" or not ALLOWED.issuperset(data):
        raise ValueError(body)
    if not all(isinstance(data[name], str) and 1 <= len(data[name]) <= 200 for name in ("name", "secret_name")):
        raise ValueError(body)
    age = data.get("age")
    if age is not None and not (isinstance(age, int) and 0 <= age < 2**31):
        raise ValueError(body)
    return command


def event_of(command: dict[str, Any], row: Any, now: Any) -> dict[str, Any]:
    """The CloudEvent that tells of the new hero."""
    return {
        "specversion": "1.0",
        "id": str(uuid4()),
        "source": "/heroes-worker",
        "type": "hero.created",
        "time": now,
        "datacontenttype": "application/json",
        "correlationid": command.get("correlationid") or command["id"],
        "causationid": command["id"],
        "subject": str(row["id"]),
        "data": {"hero": dict(row)},
    }


class Loop:
    """One pool for transactions, one channel for events, and what is confirmed but not yet marked."""

    def __init__(self, pool: Any, events: aiormq.Channel) -> None:
        self._pool = pool
        self._events = events
        self._unmarked: list[str] = []

    async def handle(self, message: DeliveredMessage) -> None:
        """One delivery, in the task that aiormq makes for it: transaction, confirmed event, ack."""
        command = decoded(message.body)
        body = await self._applied(command)
        if body is not None:
            await self._publish(body, command)
            self._unmarked.append(command["id"])
        assert message.delivery_tag is not None
        await message.channel.basic_ack(message.delivery_tag, wait=False)

    async def mark(self) -> None:
        """Rows of confirmed events say so."""
        if self._unmarked:
            group, self._unmarked = self._unmarked, []
            await self._pool.execute(MARK, group)

    async def _applied(self, command: dict[str, Any]) -> bytes | None:
        data = command["data"]
        mark = sha256(b"1\0hero.create\0" + orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).digest()
        async with self._pool.acquire() as connection, connection.transaction():
            now = await connection.fetchval(CLAIM, command["id"], command["type"], mark)
            if now is None:
                owed = await connection.fetchval(OWED, command["id"])
                return owed and orjson.dumps(orjson.loads(owed)[0])
            row = await connection.fetchrow(CREATE, data["name"], data["secret_name"], data.get("age"))
            body = orjson.dumps(event_of(command, row, now), option=orjson.OPT_SORT_KEYS | orjson.OPT_UTC_Z)
            await connection.execute(RECORD, f"[{body.decode()}]", command["id"])
            return body

    async def _publish(self, body: bytes, command: dict[str, Any]) -> None:
        properties = aiormq.spec.Basic.Properties(
            content_type=CONTENT_TYPE,
            delivery_mode=2,
            message_id=orjson.loads(body)["id"],
            correlation_id=command.get("correlationid") or command["id"],
            message_type="hero.created",
            app_id="heroes-worker",
        )
        # Without waiting for the drain: what is under way is bounded by the prefetch already.
        await self._events.basic_publish(
            body, exchange=EVENTS, routing_key="hero.created", properties=properties, wait=False
        )


async def _no_reset(_: Any) -> None:
    """Asyncpg's reset is a round trip for each release; SQLAlchemy's pool has none, and transactions need none."""


async def run(settings: Settings) -> None:
    """Creates heroes until SIGTERM."""
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
        for queue in command_queues():
            channel = await consuming.channel(publisher_confirms=False)
            await channel.basic_qos(prefetch_count=settings.prefetch)
            await channel.basic_consume(queue, loop.handle)
        while not stop.is_set():
            await asyncio.sleep(MARK_EVERY_SECONDS)
            await loop.mark()
        await consuming.close()
        await loop.mark()
        await publishing.close()


if __name__ == "__main__":
    uvloop.run(run(load_settings()))
