"""Where contestants take turns: queues full of valid commands, a count of the events that come out, and the referee.

Invariant: a round counts only if every command took effect once and was announced, and nothing is left over.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiormq
import asyncpg
import orjson

from benchmarks.contestants import WrongError
from benchmarks.rows import EVENT_IDS, LEFT, OLD_HEROES, OLD_INBOX, RECENT, RECORDED, SEED
from benchmarks.work import CREATE, Kind
from contracts.channels import COMMANDS, DEAD_LETTERS, EVENTS, command_queues
from contracts.envelope import CONTENT_TYPE, Command
from worker.settings import Settings

__all__ = ["Arena", "WrongError", "opened"]

_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Arena:
    """A prepared virtual host and database; `probe` is a queue bound to every event."""

    settings: Settings
    channel: aiormq.Channel
    database: Any
    probe: str
    old_rows: int = 0

    async def fill(self, count: int, kind: Kind = CREATE) -> None:
        """So many valid commands stand in the slot queues, confirmed."""
        for first in range(1, count + 1, _AT_ONCE):
            commands = [kind.make(number) for number in range(first, min(first + _AT_ONCE, count + 1))]
            await asyncio.gather(*(self._send(command) for command in commands))

    async def announced(self) -> int:
        """How many events have come out so far, repeats included."""
        return await self._depth(self.probe)

    async def recorded(self) -> int:
        """How many commands have an outcome."""
        return int(await self.database.fetchval(RECORDED))

    async def created(self) -> int:
        """About how many heroes have been created: the last id, which the index tells at once."""
        return int(await self.database.fetchval("SELECT coalesce(max(id), 0) FROM hero"))

    async def heroes(self) -> int:
        """How many heroes there are."""
        return int(await self.database.fetchval("SELECT count(*) FROM hero"))

    async def verify(self, count: int, kind: Kind = CREATE) -> int:
        """Every command took effect once, is recorded and announced; says how many announcements were repeats.

        Raises:
            WrongError: with what is different.
        """
        rows = dict(await self.database.fetchrow(LEFT))
        recorded = {row["id"] for row in await self.database.fetch(EVENT_IDS)}
        sent = await self._events()
        found = {**rows, "event ids": len(set(sent)), "recorded ids": len(recorded)}
        events = count * kind.events
        wanted = {"heroes": count * kind.heroes_left, "event ids": events, "recorded ids": events}
        wrong = {name: number for name, number in found.items() if number != wanted.get(name, count)}
        if wrong or set(sent) != recorded:
            raise WrongError(f"not what {count} commands leave: {wrong or 'other events than recorded'}")
        await self._verify_empty()
        return len(sent) - events

    async def verify_peer(self, count: int, events: str, *, remembers: bool) -> None:
        """So many heroes; a row for each if it remembers commands; and as many events in that queue, if it is named.

        Raises:
            WrongError: with what is different. The queue is gone either way.
        """
        found = {"heroes": await self.heroes()}
        if remembers:
            found["inbox"] = await self.recorded()
        if events:
            found["events"] = (await self.channel.queue_delete(events)).message_count or 0
        if wrong := {name: number for name, number in found.items() if number != count}:
            raise WrongError(f"not what {count} commands leave: {wrong}")

    async def clear(self, seeds: int = 0) -> None:
        """As before the first round, and so many heroes besides."""
        if self.old_rows:
            for statement in ("hero WHERE created_at", "inbox WHERE handled_at"):
                await self.database.execute(f"DELETE FROM {statement} {RECENT}")  # noqa: S608 - all ours
        else:
            await self.database.execute("TRUNCATE hero, inbox RESTART IDENTITY")
        await self.database.execute(SEED, seeds)
        await self.database.execute("VACUUM ANALYZE hero, inbox")
        await self.channel.queue_purge(self.probe)

    async def purge(self) -> None:
        """No command waits any more."""
        for queue in command_queues():
            await self.channel.queue_purge(queue)

    async def _send(self, command: Command) -> None:
        properties = aiormq.spec.Basic.Properties(
            content_type=CONTENT_TYPE, delivery_mode=2, message_id=command.id, message_type=command.type
        )
        await self.channel.basic_publish(
            command.to_json(),
            exchange=COMMANDS,
            routing_key=command.routing_key,
            properties=properties,
            mandatory=True,
            wait=False,
        )

    async def _events(self) -> list[str]:
        """The ids of everything that was announced, in order; the queue is empty afterwards."""
        expected, found = await self.announced(), asyncio.Queue[str]()

        async def keep(message: aiormq.abc.DeliveredMessage) -> None:
            found.put_nowait(orjson.loads(message.body)["id"])

        consuming = await self.channel.basic_consume(self.probe, keep, no_ack=True)
        sent = [await found.get() for _ in range(expected)]
        await self.channel.basic_cancel(consuming.consumer_tag or "")
        return sent

    async def _verify_empty(self) -> None:
        """What a contestant did not acknowledge is back in its queue once it has left."""
        depths = {queue: await self._depth(queue) for queue in (*command_queues(), DEAD_LETTERS)}
        left = {queue: depth for queue, depth in depths.items() if depth}
        if left:
            raise WrongError(f"left in the queues: {left}")

    async def _depth(self, queue: str) -> int:
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0


@asynccontextmanager
async def opened(settings: Settings, old_rows: int = 0) -> AsyncIterator[Arena]:
    """An arena in a prepared virtual host and database; so many heroes and inbox rows stand there before everything."""
    database = await asyncpg.connect(settings.database_url.replace("+asyncpg", "", 1))
    connection = await aiormq.connect(settings.rabbitmq_url)
    try:
        if old_rows:
            await database.execute(OLD_HEROES, old_rows)
            await database.execute(OLD_INBOX, old_rows)
        channel = await connection.channel()
        assert isinstance(channel, aiormq.Channel)
        probe = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(probe, EVENTS, routing_key="#")
        yield Arena(settings, channel, database, probe, old_rows)
    finally:
        await connection.close()
        await database.close()
