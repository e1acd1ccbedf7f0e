"""Ways in which a private PostgreSQL can be away: each begins when its block is entered and is over afterwards."""

import asyncio
import contextlib
import importlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg

from worker.local.postgres import PrivatePostgres

ROLE, PASSWORD = "outage_worker", "outage-worker-password"


@dataclass(frozen=True, slots=True)
class Site:
    """A PostgreSQL of the test's own, and the database in it that the worker uses as an ordinary role."""

    postgres: PrivatePostgres
    database_url: str

    async def execute(self, *statements: str) -> None:
        """As the owner of everything, each in a transaction of its own."""
        connection = await asyncpg.connect(self.database_url.replace("+asyncpg", ""))
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()

    @property
    def processes(self) -> list[Any]:
        """The server and all its children."""
        psutil = importlib.import_module("psutil")  # comes with the wheel
        postmaster = psutil.Process(self.postgres.pid)
        return [postmaster, *postmaster.children(recursive=True)]


Outage = Callable[[Site], AbstractAsyncContextManager[None]]


def _ended_by(end: Callable[[PrivatePostgres], None]) -> Outage:
    @asynccontextmanager
    async def outage(site: Site) -> AsyncIterator[None]:
        await asyncio.to_thread(end, site.postgres)
        yield
        await asyncio.to_thread(site.postgres.start)

    return outage


def _immediately(postgres: PrivatePostgres) -> None:
    os.kill(postgres.pid, signal.SIGQUIT)
    postgres.stop()


@asynccontextmanager
async def _frozen(site: Site) -> AsyncIterator[None]:
    processes = site.processes
    for process in processes:
        process.suspend()
    try:
        yield
    finally:
        for process in processes:
            with contextlib.suppress(importlib.import_module("psutil").NoSuchProcess):
                process.resume()


@asynccontextmanager
async def _read_only(site: Site) -> AsyncIterator[None]:
    await site.execute("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    yield
    # The role that mends it is read-only as well, unless it says otherwise.
    await site.execute(
        "SET default_transaction_read_only = off",
        "ALTER SYSTEM RESET default_transaction_read_only",
        "SELECT pg_reload_conf()",
    )


@asynccontextmanager
async def _out_of_connections(site: Site) -> AsyncIterator[None]:
    async with AsyncExitStack() as taken:
        plain = site.database_url.replace("+asyncpg", "")
        await site.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", _throw_out())
        taken.push_async_callback((await asyncpg.connect(plain)).close)
        yield
    await site.execute(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


def _by_statements(begin: tuple[str, ...], end: tuple[str, ...]) -> Outage:
    @asynccontextmanager
    async def outage(site: Site) -> AsyncIterator[None]:
        await site.execute(*begin)
        yield
        await site.execute(*end)

    return outage


def _throw_out() -> str:
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"  # noqa: S608 - a constant


_FULL = """CREATE FUNCTION no_room() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END $$"""

OUTAGES: dict[str, Outage] = {
    "stopped": _ended_by(PrivatePostgres.stop),
    "stopped at once": _ended_by(_immediately),
    "killed": _ended_by(PrivatePostgres.kill),
    "frozen": _frozen,
    "read-only": _read_only,
    "out of connections": _out_of_connections,
    "password changed": _by_statements(
        (f"ALTER ROLE {ROLE} PASSWORD 'another'", _throw_out()), (f"ALTER ROLE {ROLE} PASSWORD '{PASSWORD}'",)
    ),
    "grant lost": _by_statements((f"REVOKE INSERT ON hero FROM {ROLE}",), (f"GRANT INSERT ON hero TO {ROLE}",)),
    "table missing": _by_statements(("ALTER TABLE hero RENAME TO gone",), ("ALTER TABLE gone RENAME TO hero",)),
    # A stand-in: the server's own answer to a full disk, given by a trigger.
    "disk full": _by_statements(
        (_FULL, "CREATE TRIGGER no_room BEFORE INSERT ON hero EXECUTE FUNCTION no_room()"),
        ("DROP TRIGGER no_room ON hero", "DROP FUNCTION no_room"),
    ),
}
