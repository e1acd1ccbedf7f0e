"""One run's corner of the services, the workers in it, and what stands in tables and queues at the end."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import asyncpg
from aio_pika.abc import AbstractIncomingMessage

from contracts.channels import DEAD_LETTERS, command_queues
from tests.faults.clock import Clock
from tests.faults.history import HeroRow, InboxRow, Letter
from tests.faults.services import Broker, Database
from tests.faults.workers import IDS, WorkerProcess, prepare


@dataclass(frozen=True, slots=True)
class Cluster:
    """Everything that a fault can strike. `spare` is the worker that comes and goes."""

    broker: Broker
    database: Database
    rabbitmq_url: str
    database_url: str
    clock: Clock
    workers: Sequence[WorkerProcess]
    spare: WorkerProcess

    @classmethod
    @asynccontextmanager
    async def ready(
        cls, servers: tuple[Broker, Database], urls: tuple[str, str], workers: int, folder: Path
    ) -> AsyncIterator["Cluster"]:
        """Queues and tables are new, and no worker runs yet; at the end none does."""
        await prepare(*urls)
        async with AsyncExitStack() as stack:
            names = (*IDS[:workers], IDS[-1])
            places = [await stack.enter_async_context(WorkerProcess.placed(name, urls, folder)) for name in names]
            yield cls(*servers, *urls, Clock(), places[:-1], places[-1])

    @property
    def virtual_host(self) -> str:
        """Its name."""
        return urlsplit(self.rabbitmq_url).path[1:]

    @property
    def everybody(self) -> Sequence[WorkerProcess]:
        """The workers and the spare one."""
        return *self.workers, self.spare

    async def leave(self) -> None:
        """All workers have left by SIGTERM."""
        await asyncio.gather(*(worker.leave() for worker in self.everybody))

    async def owes_nothing(self, commands: int) -> bool:
        """There are so many outcomes, and all are published; False also while the database is away."""
        try:
            (row,) = await self._rows(
                "SELECT count(*) AS rows, count(*) FILTER (WHERE published_at IS NULL) AS owed FROM inbox"
            )
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False
        return bool(row["rows"] >= commands and not row["owed"])

    async def inbox(self) -> Sequence[InboxRow]:
        """Every outcome."""
        rows = await self._rows("SELECT command_id, outcome, events, published_at FROM inbox ORDER BY handled_at")
        return [
            InboxRow(
                str(row["command_id"]), row["outcome"], json.loads(row["events"] or "[]"), bool(row["published_at"])
            )
            for row in rows
        ]

    async def heroes(self) -> Sequence[HeroRow]:
        """Every hero."""
        return [HeroRow(**row) for row in await self._rows("SELECT id AS hero_id, name, version FROM hero ORDER BY id")]

    async def letters(self) -> Sequence[Letter]:
        """Every dead letter, taken off its queue."""
        found = []
        async with await aio_pika.connect(self.rabbitmq_url) as connection:
            queue = await (await connection.channel()).get_queue(DEAD_LETTERS)
            while (message := await queue.get(no_ack=True, fail=False)) is not None:
                found.append(_letter(message))
        return found

    async def left_in_queues(self) -> Mapping[str, int]:
        """How many commands stand in each queue; no worker may be about."""
        async with await aio_pika.connect(self.rabbitmq_url) as connection:
            channel = await connection.channel()
            queues = [await channel.declare_queue(name, passive=True) for name in command_queues()]
            return {queue.name: queue.declaration_result.message_count or 0 for queue in queues}

    async def execute(self, *statements: str) -> None:
        """As the owner of the tables, straight at the database."""
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""), timeout=5)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    async def _rows(self, query: str) -> Sequence[Mapping[str, Any]]:
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""), timeout=5)
        try:
            return [dict(row) for row in await connection.fetch(query)]
        finally:
            await connection.close()


def _letter(message: AbstractIncomingMessage) -> Letter:
    headers: Mapping[str, Any] = message.headers
    reason = headers.get("x-dead-letter-reason") or f"by the broker: {headers.get('x-death')}"
    return Letter(json.loads(message.body).get("id"), f"{reason} {headers.get('x-dead-letter-detail', '')}".strip())
