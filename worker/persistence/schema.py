"""Brings the tables to this version, and tells whether they are there.

Two that migrate at once do it one after the other, under an advisory lock; the second finds nothing left to do.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import NullPool

from worker import tls
from worker.errors import SchemaError, SettingsError, UnreachableError
from worker.failsafe import Failure, caught
from worker.persistence.address import address

_LOCK = 0x6865726F  # any number that nobody else uses in this database
_CONNECT_TIMEOUT_SECONDS = 5
_RETRY_SECONDS = 1
_REFUSALS = {
    "28": "refuses this user and password",
    "3D": "has no such database",
}

_GONE = ("08", "57P")  # PostgreSQL, appendix A: the connection, an operator's intervention
_NO_TLS = "rejected SSL upgrade"  # the driver has no type for it

_log = logging.getLogger(__name__)


@asynccontextmanager
async def reached(url: str, shown_url: str, within_seconds: float) -> AsyncIterator[AsyncEngine]:
    """An engine whose database answers, without the worker's time-outs: a migration may take long.

    Raises:
        RefuseToStartError: as `wait_until_reachable`.
    """
    where, secured = address(url)
    arguments = {"timeout": _CONNECT_TIMEOUT_SECONDS, **secured}
    engine = create_async_engine(where, poolclass=NullPool, connect_args=arguments)
    try:
        await wait_until_reachable(engine, shown_url, within_seconds)
        yield engine
    finally:
        await engine.dispose()


async def migrate(engine: AsyncEngine, revision: str = "head") -> None:
    """The tables are those of `revision`; nothing changes if they were already."""
    async with engine.begin() as connection:
        await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
        await connection.run_sync(_move, revision)


async def verify(engine: AsyncEngine) -> None:
    """The tables are there and not older than this worker; newer ones are fine, so that a deploy can roll.

    A migration that an older worker can't live with says so in the database, with the oldest revision that still can:
    `COMMENT ON TABLE alembic_version IS '0007'`.

    Raises:
        SchemaError: they are missing, older, or too new; the message says what mends it.
        UnreachableError: the database went away.
    """
    try:
        async with engine.connect() as connection:
            current = await connection.run_sync(lambda sync: MigrationContext.configure(sync).get_current_revision())
            oldest = await connection.scalar(text("SELECT obj_description(to_regclass('alembic_version'))"))
    except DBAPIError as error:
        sqlstate = getattr(error.orig, "sqlstate", None)
        if sqlstate is None or sqlstate.startswith(_GONE):
            raise UnreachableError("the database went away while its tables were looked at") from None
        raise SchemaError(
            f"the tables can't be looked at ({type(error.orig).__name__})", "has this user the rights?"
        ) from None
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if current is None:
        raise SchemaError("the database has no tables of ours yet", "run heroes setup")
    if head is not None and current < head:
        raise SchemaError(f"the tables are at revision {current}, this worker needs {head}", "run heroes setup")
    if head is not None and oldest is not None and oldest > head:
        raise SchemaError(f"the tables need a worker of revision {oldest}, this one knows {head}", "run a newer worker")


async def wait_until_reachable(engine: AsyncEngine, shown_url: str, within_seconds: float) -> None:
    """The database answered.

    Raises:
        SettingsError: it refuses the user, the password or the name, or shows no certificate for us: waiting would
            not help.
        UnreachableError: it did not answer in time, or its certificate has expired.
    """
    deadline = asyncio.get_running_loop().time() + within_seconds
    while isinstance(failure := await caught(_ask, engine), Failure):
        sqlstate = str(getattr(getattr(failure.error, "orig", failure.error), "sqlstate", "") or "")
        if sqlstate[:2] in _REFUSALS:
            raise SettingsError(f"HEROES_DATABASE_URL: {shown_url} {_REFUSALS[sqlstate[:2]]}")
        if refused := tls.refusal(failure.error, "HEROES_DATABASE_URL", shown_url, tls.POSTGRESQL):
            raise refused
        if _NO_TLS in str(failure.error):
            raise SettingsError(f"HEROES_DATABASE_URL: {shown_url} does not speak TLS; ssl=disable does without")
        if asyncio.get_running_loop().time() >= deadline:
            raise UnreachableError(
                f"PostgreSQL at {shown_url} did not answer within {within_seconds:g} s"
                f" ({type(failure.error).__name__})",
                "is it running, and is HEROES_DATABASE_URL right?",
            )
        _log.warning("waiting for PostgreSQL at %s (%s)", shown_url, type(failure.error).__name__)
        await asyncio.sleep(_RETRY_SECONDS)


async def _ask(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        await connection.execute(text("SELECT 1"))


def _move(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    current = MigrationContext.configure(connection).get_current_revision()
    newest = ScriptDirectory.from_config(config).get_current_head()
    if revision == "head" and current is not None and newest is not None and current > newest:
        return  # a newer version was here: its tables are fine for us, or `verify` says that they are not
    forward = revision == "head" or (revision != "base" and (current is None or current < revision))
    (command.upgrade if forward else command.downgrade)(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    return config
