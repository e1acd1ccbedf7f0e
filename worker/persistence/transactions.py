"""Opens the one transaction of a command: a session for the handler, the driver's own connection for the machinery.

Both speak on the same connection in the same transaction, so what one writes becomes true with what the other writes,
or not at all. SQLAlchemy begins it and ends it; a handler does neither.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn, cast

from sqlalchemy import Connection, RootTransaction
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

Driver = Any
"""An `asyncpg.Connection`; the library tells no types."""


class HandlerSession(AsyncSession):
    """A session whose transaction is not the handler's to end."""

    async def commit(self) -> NoReturn:
        """Raises: RuntimeError. Half a command must never become true."""
        raise RuntimeError("a handler never commits: that is done when its outcome is on record")

    async def rollback(self) -> NoReturn:
        """Raises: RuntimeError. The claim would be undone, too."""
        raise RuntimeError("a handler never rolls back: it raises, or undoes a part of its work by begin_nested()")


class Transaction(NamedTuple):
    """An open one, by its two doors."""

    driver: Driver
    session: AsyncSession


class Transactions:
    """On an engine's connections, as many at once as its pool has.

    A connection whose transaction went well is kept for the next one: the pool's check-out and check-in cost as much as
    a statement. Any other goes back to the pool, which rolls back, or closes it.
    """

    def __init__(self, engine: AsyncEngine, is_fresh: Callable[[Connection], bool]) -> None:
        self._engine = engine
        self._is_fresh = is_fresh
        self._idle: list[AsyncConnection] = []
        self._is_closed = False
        self.in_use = 0

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Committed at the end of the block; nothing of it is true where the block raises.

        Raises:
            Exception: whatever SQLAlchemy or asyncpg raised; `sqlstate.translated` knows both.
        """
        self.in_use += 1
        try:
            connection = await self._connection()
            try:
                driver, root = await _begun(connection)
                session = _session_on(connection)
                yield Transaction(driver, session)
                await session.run_sync(_commit, root)
            except BaseException:
                await _given_back(connection)
                raise
            await self._keep(connection)
        finally:
            self.in_use -= 1

    async def close(self) -> None:
        """No connection is kept any more."""
        self._is_closed = True
        while self._idle:
            await _closed(self._idle.pop())

    async def _connection(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if self._is_fresh(_below(connection)):
                return connection
            await _closed(connection)
        return await self._engine.connect()

    async def _keep(self, connection: AsyncConnection) -> None:
        if self._is_closed or not self._is_fresh(_below(connection)):
            await _closed(connection)
        else:
            self._idle.append(connection)


async def _given_back(connection: AsyncConnection) -> None:
    """The pool has it: what was open is rolled back. Done to the end even where the caller is cancelled."""
    await connection.__aexit__(None, None, None)


async def _closed(connection: AsyncConnection) -> None:
    """Nobody uses it again; the pool has room for another."""
    try:
        await connection.invalidate()
    finally:
        await _given_back(connection)


def _below(connection: AsyncConnection) -> Connection:
    return cast("Connection", connection.sync_connection)  # None only before it is connected


async def _begun(connection: AsyncConnection) -> tuple[Driver, RootTransaction]:
    below = _below(connection)
    root = below.begin()  # for SQLAlchemy; the server hears of it now:
    adapted: Any = below.connection.dbapi_connection
    try:
        # Private, for want of a public way: otherwise it begins with the first statement over SQLAlchemy only.
        await adapted._start_transaction()  # noqa: SLF001 - see above
    except BaseException:
        await connection.invalidate()  # the driver would take its next transaction for a savepoint of this one
        raise
    return adapted.driver_connection, root


def _session_on(connection: AsyncConnection) -> HandlerSession:
    """In the connection's transaction, as if it had begun it: what ends the one ends the other."""
    session = HandlerSession(
        connection,
        expire_on_commit=False,
        autoflush=False,
        join_transaction_mode="control_fully",
        close_resets_only=False,
    )
    session.sync_session.begin()  # so that a handler can't
    return session


def _commit(session: Session, root: RootTransaction) -> None:
    if session.in_nested_transaction():
        session.commit()
    else:
        session.flush()
        root.commit()  # what `session.commit` comes to, for less
    session.close()  # for good
