"""Dead letters for tests: puts some into the queue as a worker writes them, and looks at the queue from outside."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, ConsumerTag

from contracts.envelope import CONTENT_TYPE, Command
from tests.harness.stage import Stage, eventually
from tests.harness.wire import COMMANDS, DEAD_LETTERS, reason_of
from tests.harness.workers import WORKER_ID


@dataclass(frozen=True)
class Pigeonhole:
    """The dead-letter queue of one virtual host, empty at first, on a connection of our own."""

    channel: AbstractChannel

    @classmethod
    @asynccontextmanager
    async def emptied(cls, stage: Stage) -> AsyncIterator["Pigeonhole"]:
        async with await aio_pika.connect(stage.rabbitmq_url) as connection:
            one = cls(await connection.channel(on_return_raises=True))
            await (await one.channel.get_queue(DEAD_LETTERS)).purge()
            yield one

    async def put(
        self, body: bytes, *, reason: str = "handler_failed", at: datetime | None = None, key: str = "00", **more: Any
    ) -> None:
        """One more letter, as a worker writes it."""
        moment = (at or datetime.now(UTC)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        headers = {
            "x-dead-letter-reason": reason,
            "x-dead-letter-detail": "it raised KeyError",
            "x-dead-lettered-at": moment,
            "x-original-exchange": COMMANDS,
            "x-original-routing-key": key,
            "x-worker": "worker-1",
            "x-attempts": 3,
            **more.pop("headers", {}),
        }
        exchange = await self.channel.get_exchange(DEAD_LETTERS, ensure=False)
        given = {"content_type": CONTENT_TYPE, "delivery_mode": 2, **more}
        await exchange.publish(aio_pika.Message(body, headers=headers, **given), key)

    async def put_command(self, command: Command, **more: Any) -> None:
        """The letter of this command."""
        await self.put(command.to_json(), key=command.routing_key, message_id=command.id, **more)

    async def count(self) -> int:
        """How many are there, nobody holding any."""
        declared = await self.channel.declare_queue(DEAD_LETTERS, passive=True)
        return declared.declaration_result.message_count or 0

    async def holds(self, count: int) -> None:
        """So many come to be there."""

        async def has() -> bool:
            return await self.count() == count

        await eventually(has, f"{count} letters are in their queue", within_seconds=20)

    async def take(self, count: int) -> list[AbstractIncomingMessage]:
        """The first so many, in order; they are gone."""
        queue = await self.channel.get_queue(DEAD_LETTERS, ensure=False)
        found = [await queue.get(no_ack=True, fail=False) for _ in range(count)]
        assert None not in found, "there are not so many"
        return [message for message in found if message]

    async def bodies(self, count: int) -> list[bytes]:
        """The same, their bodies."""
        return [message.body for message in await self.take(count)]


async def everything_in(channel: AbstractChannel, queue: str, count: int = 1) -> list[AbstractIncomingMessage]:
    """All messages of a queue once there are so many; they are gone."""
    found: list[AbstractIncomingMessage] = []

    async def keep(message: AbstractIncomingMessage) -> None:
        found.append(message)

    async def all_came() -> bool:
        return len(found) >= count

    source = await channel.get_queue(queue, ensure=False)
    tag: ConsumerTag = await source.consume(keep, no_ack=True)
    await eventually(all_came, f"{count} messages in {queue}", within_seconds=20)
    await source.cancel(tag)
    return found


def lines(output: str) -> Sequence[dict[str, Any]]:
    """JSON lines."""
    return [json.loads(line) for line in output.splitlines()]


def checked(letter: AbstractIncomingMessage, reason: str, routing_key: str = "00") -> str:
    """The letter carries all that §3 of the design asks for; its detail."""
    assert reason_of(letter) == reason
    detail = letter.headers["x-dead-letter-detail"]
    assert isinstance(detail, str)
    assert 0 < len(detail.encode()) <= 2048
    set_aside_at = datetime.fromisoformat(str(letter.headers["x-dead-lettered-at"]))
    assert abs(datetime.now(UTC) - set_aside_at) < timedelta(minutes=2)
    assert letter.headers["x-original-exchange"] == "heroes.commands"
    assert letter.headers["x-original-routing-key"] == routing_key
    assert letter.headers["x-worker"] == WORKER_ID
    assert letter.delivery_mode == 2
    return detail
