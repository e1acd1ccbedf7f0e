"""Opens the connections to PostgreSQL and hands out one session for each piece of work.

Every connection carries the server-side time-outs: a frozen worker's locks free themselves, a slow statement ends.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import URL, Connection, event, select, text
from sqlalchemy.exc import DisconnectionError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, NullPool

from worker.documents import DOCUMENT_OPTIONS
from worker.errors import DatabaseUnavailableError
from worker.outcomes import Fact, Rejection
from worker.persistence.address import address
from worker.persistence.tables import METADATA
from worker.persistence.transactions import Transactions

_CONNECT_TIMEOUT_SECONDS = 5
_IDLE_IN_TRANSACTION_SECONDS = 10
_LOCK_TIMEOUT_SECONDS = 2
_CLIENT_GRACE_SECONDS = 2  # the server should be the one to end a slow statement; a frozen one can't
_SIDE_POOL_SIZE = 3
_READING_POOL_SIZE = 3
_POOL_TIMEOUT_SECONDS = 5


Sessions = async_sessionmaker[AsyncSession]

Answer = Callable[[Sessions, Any], Awaitable[Fact | Rejection]]
"""Reads what a query asks for, in as many sessions at once as it likes, and writes nothing."""


@dataclass(frozen=True, slots=True)
class Database:
    """Three pools: one for commands, as large as their concurrency, and two small ones: for what is written beside them
    (marks, sweeps, suspects), and for queries, so that no heap of slow ones holds up the others.
    """

    url: str
    engine: AsyncEngine
    side_engine: AsyncEngine
    reading_engine: AsyncEngine
    probe_engine: AsyncEngine
    transactions: Transactions
    sessions: Sessions
    side_sessions: Sessions
    reading_sessions: Sessions
    connect_args: dict[str, Any]
    freshness: "_Freshness"

    @classmethod
    def of(cls, url: str, *, pool_size: int, statement_timeout_seconds: float) -> "Database":
        """Nothing is connected yet afterwards."""
        where, secured = address(url)
        arguments = {**_connect_args(statement_timeout_seconds), **secured}
        sizes = (pool_size, _SIDE_POOL_SIZE, _READING_POOL_SIZE)
        engine, side, reading = (_engine(where, arguments, size) for size in sizes)
        probe = create_async_engine(where, poolclass=NullPool, connect_args=arguments)
        freshness = _Freshness()
        for one in (engine, side, reading):
            freshness.watch(one)
        return cls(
            url=url,
            engine=engine,
            side_engine=side,
            reading_engine=reading,
            probe_engine=probe,
            transactions=Transactions(engine, freshness.has),
            sessions=_sessions(engine),
            side_sessions=_sessions(side),
            reading_sessions=_sessions(reading.execution_options(postgresql_readonly=True)),
            connect_args=arguments,
            freshness=freshness,
        )

    @property
    def in_use(self) -> int:
        """How many of the commands' connections are handed out just now."""
        return self.transactions.in_use

    async def probe(self) -> None:
        """The server answered on a connection of its own, outside every pool, takes writes, and has every table.

        Raises:
            DatabaseUnavailableError: it is read-only.
            Exception: whatever the driver raised; `sqlstate.translated` knows it.
        """
        async with self.probe_engine.connect() as connection:
            if (await connection.execute(text("SHOW transaction_read_only"))).scalar_one() == "on":
                raise DatabaseUnavailableError("it is read-only")
            for table in METADATA.sorted_tables:
                await connection.execute(select(table).limit(0))

    async def renew(self) -> None:
        """Connections from before are not handed out again, and each is closed when it comes back or is asked for."""
        self.freshness.renew()

    async def close(self) -> None:
        """Every connection is closed."""
        await self.transactions.close()
        await self.engine.dispose()
        await self.side_engine.dispose()
        await self.reading_engine.dispose()
        await self.probe_engine.dispose()


class _Freshness:
    """Hands out no connection that is closed or from before an outage. (`dispose` would leave those at work to the
    collector.)
    """

    def __init__(self) -> None:
        self._generation = 0

    def watch(self, engine: AsyncEngine) -> None:
        event.listen(engine.sync_engine, "connect", self._stamp)
        event.listen(engine.sync_engine, "checkout", self._check)

    def renew(self) -> None:
        self._generation += 1

    def has(self, connection: Connection) -> bool:
        """This connection may be used."""
        return connection.info["generation"] == self._generation and not _is_closed(
            connection.connection.driver_connection
        )

    def _stamp(self, _: object, record: ConnectionPoolEntry) -> None:
        record.info["generation"] = self._generation

    def _check(self, _: object, record: ConnectionPoolEntry, __: object) -> None:
        if record.info["generation"] != self._generation or _is_closed(record.driver_connection):
            raise DisconnectionError("closed, or from before an outage")  # the pool closes it and opens another


def _is_closed(driver: Any) -> bool:
    return bool(driver.is_closed())


def _connect_args(statement_timeout_seconds: float) -> dict[str, Any]:
    return {
        "timeout": _CONNECT_TIMEOUT_SECONDS,
        "command_timeout": statement_timeout_seconds + _CLIENT_GRACE_SECONDS,
        "server_settings": {
            "application_name": "heroes-worker",
            "statement_timeout": f"{round(statement_timeout_seconds * 1000)}",
            "lock_timeout": f"{_LOCK_TIMEOUT_SECONDS * 1000}",
            "idle_in_transaction_session_timeout": f"{_IDLE_IN_TRANSACTION_SECONDS * 1000}",
        },
    }


def _engine(url: URL, connect_args: dict[str, Any], pool_size: int) -> AsyncEngine:
    return create_async_engine(
        url,
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=_POOL_TIMEOUT_SECONDS,
        connect_args=connect_args,
        json_serializer=lambda value: orjson.dumps(value, option=DOCUMENT_OPTIONS).decode(),
        json_deserializer=orjson.loads,
        hide_parameters=True,  # a statement's values must not reach a log by way of a traceback
    )


def _sessions(engine: AsyncEngine) -> Sessions:
    # Statements are written out, so there is no state to flush or to expire.
    return async_sessionmaker(engine, expire_on_commit=False, autoflush=False)
