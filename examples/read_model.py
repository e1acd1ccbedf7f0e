"""An event consumer that keeps its own table of heroes, each event counted once however often it comes.

    HEROES_RABBITMQ_URL=amqp://… python examples/read_model.py read_model.sqlite

The id of an event is remembered in the transaction that makes its change, and the broker hears of it only afterwards.
So whenever this is killed, the event comes again and is recognised; nothing is lost and nothing is counted twice.
"""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import Mapping
from contextlib import closing
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

APP = "read_model"
EVENTS, QUEUE = "heroes.events", f"heroes.events.{APP}"
DEAD = f"{QUEUE}.dead"
_AT_ONCE = 50
_NO_EVENT = (
    ValueError,
    TypeError,
    KeyError,
    OverflowError,
    sqlite3.IntegrityError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)

_TABLES = """
CREATE TABLE IF NOT EXISTS handled (event_id TEXT PRIMARY KEY, at TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS told (type TEXT PRIMARY KEY, times INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS hero (
  id INTEGER PRIMARY KEY, name TEXT NOT NULL, age INTEGER, version INTEGER NOT NULL, deleted INTEGER NOT NULL
);
"""
# Versions catch what is older than what we have, so ids need not be kept for ever.
_FORGET = "DELETE FROM handled WHERE at < datetime('now', '-30 days')"
_REMEMBER = "INSERT INTO handled (event_id) VALUES (?) ON CONFLICT DO NOTHING"
_COUNT = "INSERT INTO told VALUES (?, 1) ON CONFLICT DO UPDATE SET times = times + 1"
# A deletion carries the last version and is final: the row stays as its tombstone, so that nothing brings it back.
_KEEP = """
INSERT INTO hero VALUES (:id, :name, :age, :version, :deleted)
ON CONFLICT (id) DO UPDATE
SET name = excluded.name, age = excluded.age, version = excluded.version, deleted = excluded.deleted
WHERE NOT hero.deleted AND (excluded.deleted OR excluded.version > hero.version)
"""


class ReadModel:
    """Heroes as events tell them, and how many events of each type there were."""

    def __init__(self, path: str) -> None:
        self._database = sqlite3.connect(path)
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.executescript(_TABLES)
        with self._database:
            self._database.execute(_FORGET)

    def close(self) -> None:
        """Let go of the file."""
        self._database.close()

    def apply(self, event: Mapping[str, Any]) -> bool:
        """The event's change and its id are kept together; False for a repeat, which changes nothing."""
        with self._database:
            if not self._database.execute(_REMEMBER, (event["id"],)).rowcount:
                return False
            self._database.execute(_COUNT, (event["type"],))
            if event["type"] in {"hero.created", "hero.updated", "hero.deleted"}:
                self._database.execute(_KEEP, {**event["data"]["hero"], "deleted": event["type"] == "hero.deleted"})
        return True  # of an unknown type, which will come one day, no more than the count is kept


async def declare(channel: AbstractChannel) -> AbstractQueue:
    """A queue of our own with a dead-letter queue of its own, as docs/wire.md advises."""
    dead = await channel.declare_exchange(DEAD, "fanout", durable=True)
    letters: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": 1_000_000}
    await (await channel.declare_queue(DEAD, durable=True, arguments=letters)).bind(dead)
    arguments: dict[str, Any] = {
        "x-queue-type": "quorum",
        "x-dead-letter-exchange": DEAD,
        "x-dead-letter-strategy": "at-least-once",
        "x-overflow": "reject-publish",
        "x-delivery-limit": 20,
    }
    queue = await channel.declare_queue(QUEUE, durable=True, arguments=arguments)
    await queue.bind(EVENTS, "hero.#")
    return queue


async def handle(model: ReadModel, message: AbstractIncomingMessage) -> None:
    """Commit first, then ack. What is no event of ours goes to our dead letters; any other failure ends the program."""
    try:
        model.apply(json.loads(message.body))
    except _NO_EVENT as error:
        print(f"set aside: {type(error).__name__}", flush=True)
        await message.reject(requeue=False)
    else:
        await message.ack()


async def main(url: str, path: str) -> None:
    """Consumes until it is ended, in whatever way: it may be killed at any moment, and started again."""
    with closing(ReadModel(path)) as model:
        async with await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=_AT_ONCE)
            queue = await declare(channel)
            print(f"reading {QUEUE}", flush=True)
            async with queue.iterator() as messages:
                async for message in messages:
                    await handle(model, message)


if __name__ == "__main__":
    asyncio.run(main(os.environ["HEROES_RABBITMQ_URL"], sys.argv[1]))
