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

from contracts.channels import COMMANDS, DEAD_LETTERS, EVENTS, command_queues
from contracts.envelope import CONTENT_TYPE
from contracts.heroes import CreateHero, CreateHeroData
from worker.settings import Settings

_ROWS = (
    "SELECT (SELECT count(*) FROM hero) AS heroes, count(*) AS inbox, count(published_at) AS published,"
    " count(*) FILTER (WHERE outcome = 'applied') AS applied FROM inbox"
)
_EVENT_IDS = "SELECT json_array_elements(events)->>'id' AS id FROM inbox"


class WrongError(RuntimeError):
    """A contestant did not do what it is measured for: it gets no figure."""


@dataclass(frozen=True, slots=True)
class Arena:
    """A prepared virtual host and database; `probe` is a queue bound to every event."""

    settings: Settings
    channel: aiormq.Channel
    database: Any
    probe: str

    async def fill(self, count: int) -> None:
        """So many valid commands stand in the slot queues, confirmed."""
        commands = [_command(number) for number in range(count)]
        await asyncio.gather(*(self._send(command) for command in commands))

    async def announced(self) -> int:
        """How many events have come out so far, repeats included."""
        return await self._depth(self.probe)

    async def recorded(self) -> int:
        """How many commands have an outcome."""
        return int(await self.database.fetchval("SELECT count(*) FROM inbox"))

    async def verify(self, count: int) -> int:
        """Every command took effect once, is recorded and announced; says how many announcements were repeats.

        Raises:
            WrongError: with what is different.
        """
        rows = dict(await self.database.fetchrow(_ROWS))
        recorded = {row["id"] for row in await self.database.fetch(_EVENT_IDS)}
        sent = [event async for event in self._events()]
        found = {**rows, "event ids": len(set(sent)), "recorded ids": len(recorded)}
        wrong = {name: number for name, number in found.items() if number != count}
        if wrong or set(sent) != recorded:
            raise WrongError(f"not {count} of each: {wrong or 'other events than recorded'}")
        await self._verify_empty()
        return len(sent) - count

    async def clear(self) -> None:
        """Both tables are empty, as before the first round."""
        await self.database.execute("TRUNCATE hero, inbox RESTART IDENTITY")

    async def _send(self, command: CreateHero) -> None:
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

    async def _events(self) -> AsyncIterator[str]:
        for _ in range(await self.announced()):
            message = await self.channel.basic_get(self.probe, no_ack=True)
            yield orjson.loads(message.body)["id"]

    async def _verify_empty(self) -> None:
        """What a contestant did not acknowledge is back in its queue once it has left."""
        depths = {queue: await self._depth(queue) for queue in (*command_queues(), DEAD_LETTERS)}
        left = {queue: depth for queue, depth in depths.items() if depth}
        if left:
            raise WrongError(f"left in the queues: {left}")

    async def _depth(self, queue: str) -> int:
        return (await self.channel.queue_declare(queue, passive=True)).message_count or 0


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Arena]:
    """An arena in a virtual host and a database that are prepared already."""
    database = await asyncpg.connect(settings.database_url.replace("+asyncpg", "", 1))
    connection = await aiormq.connect(settings.rabbitmq_url)
    try:
        channel = await connection.channel()
        assert isinstance(channel, aiormq.Channel)
        probe = (await channel.queue_declare(exclusive=True)).queue or ""
        await channel.queue_bind(probe, EVENTS, routing_key="#")
        yield Arena(settings, channel, database, probe)
    finally:
        await connection.close()
        await database.close()


def _command(number: int) -> CreateHero:
    data = CreateHeroData(name=f"Hero {number}", secret_name=f"Secret {number}", age=number % 100)
    return CreateHero.new(data, source="/benchmarks")
