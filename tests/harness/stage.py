"""One corner of the real services: where it is, the settings for a worker in it, and a look at its tables."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import asyncpg

from worker.settings import Settings

DEADLINE_SECONDS = 60.0  # generous: it only matters where something never comes
_LOOK_EVERY_SECONDS = 0.02


@dataclass(frozen=True, slots=True)
class Stage:
    """A virtual host and a database for one module of tests."""

    rabbitmq_url: str
    database_url: str

    def settings(self, **overrides: Any) -> Settings:
        """Settings for a worker here, on any free HTTP port; the environment of the test run plays no part."""
        given = {"rabbitmq_url": self.rabbitmq_url, "database_url": self.database_url, "http_port": 0}
        return Settings(**{**given, "startup_timeout_seconds": 10, **overrides})

    def environment(self, **overrides: str) -> dict[str, str]:
        """The same for a worker in a process of its own."""
        given = {"HEROES_RABBITMQ_URL": self.rabbitmq_url, "HEROES_DATABASE_URL": self.database_url}
        return {**given, "HEROES_HTTP_PORT": "0", **overrides}

    async def rows(self, query: str, *arguments: object) -> list[Mapping[str, Any]]:
        """What the database answers, asked on a connection of our own."""
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""))
        try:
            return [dict(row) for row in await connection.fetch(query, *arguments)]
        finally:
            await connection.close()

    async def run(self, script: str) -> None:
        """Statements without an answer, as the owner of the database."""
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""))
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    async def inbox(self, command_id: str) -> Mapping[str, Any] | None:
        """The inbox row of one command."""
        rows = await self.rows("SELECT * FROM inbox WHERE command_id = $1", command_id)
        return rows[0] if rows else None

    async def is_published(self, command_id: str) -> bool:
        """The row of this command owes nothing any more."""
        row = await self.inbox(command_id)
        return row is not None and row["published_at"] is not None

    async def hero(self, hero_id: int) -> Mapping[str, Any] | None:
        """The row of one hero."""
        rows = await self.rows("SELECT * FROM hero WHERE id = $1", hero_id)
        return rows[0] if rows else None


async def eventually(
    condition: Callable[[], Awaitable[object]], what: str, *, within_seconds: float = DEADLINE_SECONDS
) -> None:
    """The condition came true before the deadline; otherwise the test fails and says what never came."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + within_seconds
    while not await condition():
        assert loop.time() < deadline, f"not within {within_seconds:g} s: {what}"
        await asyncio.sleep(_LOOK_EVERY_SECONDS)
