"""Opens the one transaction of a command: a session for the handler, the driver's own connection for the machinery.

Both speak on the same connection in the same transaction, so what one writes becomes true with what the other writes,
or not at all. SQLAlchemy begins it and ends it; a handler does neither.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, NoReturn

from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession
from sqlalchemy.orm import Session
from sqlalchemy.util import await_only

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
    """On an engine's connections, one after the other or at once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """Committed at the end of the block; nothing of it is true where the block raises.

        Raises:
            Exception: whatever SQLAlchemy or asyncpg raised; `sqlstate.translated` knows both.
        """
        async with HandlerSession(self._engine, expire_on_commit=False, autoflush=False) as session:
            yield Transaction(await session.run_sync(_begun), session)
            await session.run_sync(Session.commit)


def _begun(session: Session) -> Driver:
    connection = session.connection()
    adapted: Any = connection.connection.dbapi_connection
    try:
        # Private, for want of a public way: otherwise it begins with the first statement over SQLAlchemy only.
        await_only(adapted._start_transaction())  # noqa: SLF001 - see above
    except BaseException:
        connection.invalidate()  # the driver would take its next transaction for a savepoint of this one
        raise
    return adapted.driver_connection
