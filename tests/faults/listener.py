"""Hears every event, on a queue that keeps them while the connection is away, and acknowledges each one."""

import asyncio
import contextlib
import json
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aio_pika
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import EVENTS
from tests.faults.apart import GONE, apart
from tests.faults.clock import Clock
from tests.faults.history import Heard
from tests.faults.publisher import CONNECT_TIMEOUT_SECONDS, RETRY_SECONDS

QUEUE = "faults.events"
DELIVERY_LIMIT = 1_000_000
SENTINEL = "faults.sentinel"
END_TIMEOUT_SECONDS = 20.0


@dataclass(slots=True)
class Listener:
    """Everything heard, repeats and all; `causes` holds when the first event of each command came."""

    url: str
    clock: Clock
    heard: list[Heard] = field(default_factory=list)
    causes: dict[str, float] = field(default_factory=dict)
    _ended: asyncio.Event = field(default_factory=asyncio.Event)
    _heroes: dict[str, "asyncio.Future[int]"] = field(
        default_factory=lambda: defaultdict(asyncio.get_running_loop().create_future)
    )

    @classmethod
    @asynccontextmanager
    async def to(cls, url: str, clock: Clock) -> AsyncIterator["Listener"]:
        """Its queue is declared and bound, and it listens."""
        listener = cls(url, clock)
        arguments: dict[str, Any] = {"x-queue-type": "quorum", "x-delivery-limit": DELIVERY_LIMIT}
        async with await aio_pika.connect(url) as connection:
            queue = await (await connection.channel()).declare_queue(QUEUE, durable=True, arguments=arguments)
            await queue.bind(EVENTS, "#")
        listening = asyncio.create_task(listener._listen())
        try:
            yield listener
        finally:
            listening.cancel()
            await asyncio.wait({listening})

    async def hero_id(self, command_id: str) -> int:
        """What the event of this create says."""
        return await asyncio.shield(self._heroes[command_id])

    async def everything_heard(self) -> bool:
        """All events that the broker had before are in `heard`; False if that took too long."""
        return await apart(self._hear_a_sentinel(), END_TIMEOUT_SECONDS) is not None

    async def _hear_a_sentinel(self) -> bool:
        async with await aio_pika.connect(self.url) as connection:
            exchange = await (await connection.channel()).get_exchange(EVENTS, ensure=False)
            await exchange.publish(aio_pika.Message(b"", type=SENTINEL, delivery_mode=2), SENTINEL)
            return await self._ended.wait()

    async def _listen(self) -> None:
        while True:
            await apart(self._listen_once())
            await asyncio.sleep(RETRY_SECONDS)

    async def _listen_once(self) -> None:
        async with await aio_pika.connect(self.url, timeout=CONNECT_TIMEOUT_SECONDS) as connection:
            channel, gone = await connection.channel(), asyncio.Event()
            connection.close_callbacks.add(lambda *_: gone.set())
            channel.close_callbacks.add(lambda *_: gone.set())
            await channel.set_qos(prefetch_count=200)
            await (await channel.get_queue(QUEUE, ensure=False)).consume(self._hear)
            await gone.wait()

    async def _hear(self, message: AbstractIncomingMessage) -> None:
        if message.type == SENTINEL:
            self._ended.set()
        else:
            self._keep(Heard(message.body, self.clock.now))
        with contextlib.suppress(*GONE):
            await message.ack()

    def _keep(self, heard: Heard) -> None:
        event: dict[str, Any] = json.loads(heard.body)
        self.heard.append(heard)
        cause = event.get("causationid", "")
        self.causes.setdefault(cause, heard.at)
        created = self._heroes[cause] if event["type"] == "hero.created" else None
        if created is not None and not created.done():
            created.set_result(event["data"]["hero"]["id"])
