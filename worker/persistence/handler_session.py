"""The session that a handler is given: an `AsyncSession` whose transaction is not the handler's to end.

Half a command must never become true, nor may another command get a connection that a handler has kept.
"""

from typing import Any, NoReturn

from sqlalchemy import Executable
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncSession

from worker.persistence.greenlets import Greenlets

_BUFFERED = {"prebuffer_rows": True}  # as SQLAlchemy's own: ORM objects are loaded before the greenlet is left


class HandlerSession(AsyncSession):
    """A session whose transaction is not the handler's to end."""

    gave_its_connection = False

    def __init__(self, connection: AsyncConnection, greenlets: Greenlets) -> None:
        super().__init__(connection, expire_on_commit=False, autoflush=False, close_resets_only=False)
        self._below: Any = connection.sync_connection
        self._greenlets = greenlets

    async def execute(self, statement: Executable, params: Any = None, **options: Any) -> Any:
        """As ever; without options, which is the usual way, in a greenlet that is kept."""
        if options or self._below.get_execution_options() or not _is_plain(statement):
            return await super().execute(statement, params, **options)
        return await self._greenlets.run(self.sync_session.execute, statement, params, execution_options=_BUFFERED)

    async def connection(self, *args: Any, **options: Any) -> AsyncConnection:
        """As ever; but who has it may keep it or set options on it, so no other command gets it afterwards."""
        self.gave_its_connection = True
        return await super().connection(*args, **options)

    async def commit(self) -> NoReturn:
        """Raises: RuntimeError. Half a command must never become true."""
        raise RuntimeError("a handler never commits: that is done when its outcome is on record")

    async def rollback(self) -> NoReturn:
        """Raises: RuntimeError. The claim would be undone, too."""
        raise RuntimeError("a handler never rolls back: it raises, or undoes a part of its work by begin_nested()")


def _is_plain(statement: object) -> bool:
    return isinstance(statement, Executable) and not statement.get_execution_options()
