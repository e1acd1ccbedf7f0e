"""Opens the one transaction of a command: a session for the handler, the driver's own connection for the machinery.

Both speak on the same connection in the same transaction, so what one writes becomes true with what the other writes,
or not at all. SQLAlchemy begins it and ends it; a handler does neither.
"""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, cast

from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, AsyncSession
from sqlalchemy.orm import Session

from worker.errors import DatabaseUnavailableError
from worker.failsafe import Failure, caught
from worker.persistence.greenlets import Greenlets
from worker.persistence.handler_session import HandlerSession

Driver = Any
"""An `asyncpg.Connection`; the library tells no types."""


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
        self._greenlets = Greenlets()
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
                session = HandlerSession(connection, self._greenlets)
                yield Transaction(await _begun(connection, session.sync_session), session)
                await self._greenlets.run(_committed, session.sync_session)
            except BaseException:
                await _given_back(connection)
                raise
            await self._keep(connection, session)
        finally:
            self.in_use -= 1

    async def close(self) -> None:
        """No connection is kept any more."""
        self._is_closed = True
        while self._idle:
            await _closed(self._idle.pop())
        self._greenlets.end()

    async def _connection(self) -> AsyncConnection:
        while self._idle:
            connection = self._idle.pop()
            if self._is_fresh(_below(connection)):
                return connection
            await _closed(connection)
        return await self._engine.connect()

    async def _keep(self, connection: AsyncConnection, session: HandlerSession) -> None:
        below = _below(connection)
        if self._is_closed or not self._is_fresh(below):
            await _closed(connection)
        elif session.gave_its_connection or below.get_execution_options():
            await _given_back(connection)
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


async def _begun(connection: AsyncConnection, session: Session) -> Driver:
    session.connection()  # for SQLAlchemy it begins here, and the session owns it; the server hears of it now:
    adapted: Any = _below(connection).connection.dbapi_connection
    try:
        # Private, for want of a public way: otherwise it begins with the first statement over SQLAlchemy only.
        begun = await caught(adapted._start_transaction)  # noqa: SLF001 - see above
    except BaseException:  # cancelled: the driver would take its next transaction for a savepoint of this one
        await connection.invalidate()
        raise
    if isinstance(begun, Failure):  # no command can be to blame for it
        await connection.invalidate()
        raise DatabaseUnavailableError(type(begun.error).__name__) from begun.error
    return adapted.driver_connection


def _committed(session: Session) -> None:
    session.commit()
    session.close()  # for good: the connection works for the next command
