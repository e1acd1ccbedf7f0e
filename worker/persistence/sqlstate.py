"""Says what an exception of the database means: the statement failed, the database is away, or it is none of ours.

Of all that a database can say, only a live server's answer about this very statement may cost an attempt.
"""

from asyncpg import InterfaceError as DriverError
from asyncpg import PostgresError
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from worker.errors import DatabaseUnavailableError, StatementFailedError, in_words

# PostgreSQL, appendix A. Classes: connection, authorization, database, resources, system, internal.
_AWAY_CLASSES = ("08", "28", "3D", "53", "57P", "58", "XX")
# Read-only server, lost grant, missing table, missing column: the server is there, but not the one we need.
_AWAY_STATES = frozenset({"25006", "42501", "42P01", "42703"})


def translated(error: BaseException) -> StatementFailedError | DatabaseUnavailableError | None:
    """The worker's error for one of SQLAlchemy or asyncpg, or None where the database has no part in it."""
    if isinstance(error, StatementFailedError | DatabaseUnavailableError):
        return error
    if isinstance(error, DBAPIError):
        return _answered(error)
    if isinstance(error, PostgresError):
        return _meaning(error.sqlstate)
    if isinstance(error, DriverError):  # it is closed, or in the middle of something; or refused an argument: a bug
        return None if isinstance(error, ValueError) else DatabaseUnavailableError(type(error).__name__)
    # Handlers touch neither files nor sockets, so a raw operating system error comes from the connection;
    # builtin time-outs are among them.
    if isinstance(error, OSError | PoolTimeoutError):
        return DatabaseUnavailableError(in_words(error))
    return None


def _answered(error: DBAPIError) -> StatementFailedError | DatabaseUnavailableError | None:
    if isinstance(getattr(error.orig, "__cause__", None), ValueError):
        return None  # asyncpg refused an argument before it asked the server: a bug of the statement's author
    sqlstate: str | None = getattr(error.orig, "sqlstate", None)
    if error.connection_invalidated or sqlstate is None or isinstance(error, InterfaceError):
        return DatabaseUnavailableError(type(error.orig).__name__)
    return _meaning(sqlstate)


def _meaning(sqlstate: str) -> StatementFailedError | DatabaseUnavailableError:
    if sqlstate.startswith(_AWAY_CLASSES) or sqlstate in _AWAY_STATES:
        return DatabaseUnavailableError(f"SQLSTATE {sqlstate}")
    return StatementFailedError(sqlstate)
