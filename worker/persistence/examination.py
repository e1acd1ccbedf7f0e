"""Looks at the database as its user may: what it is, which rights are missing, and how far apart the clocks are.

It only reads.
"""

import time
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from worker.persistence.tables import METADATA

_NEEDED = ("SELECT", "INSERT", "UPDATE", "DELETE")

_SERVER = text("""
SELECT current_setting('server_version') AS version,
       current_setting('transaction_read_only') = 'on' AS is_read_only,
       current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int AS connections
""")
_LACKING = text("""
SELECT wanted.name, needed.privilege
FROM unnest(CAST(:tables AS text[])) WITH ORDINALITY AS wanted (name, place)
CROSS JOIN unnest(CAST(:needed AS text[])) WITH ORDINALITY AS needed (privilege, place)
WHERE to_regclass(quote_ident(wanted.name)) IS NOT NULL
  AND NOT has_table_privilege(to_regclass(quote_ident(wanted.name)), needed.privilege)
ORDER BY wanted.place, needed.place
""")
_CLOCK = text("SELECT extract(epoch FROM clock_timestamp())")


@dataclass(frozen=True, slots=True)
class Server:
    """What it says of itself. `connections`: how many it takes at once, from anybody."""

    version: str
    is_read_only: bool
    synchronous_commit: str
    connections: int


@dataclass(frozen=True, slots=True)
class Examination:
    """`lacking`: the missing rights by table. `ahead_seconds`: how far its clock is before ours; below 0: behind."""

    server: Server
    lacking: dict[str, list[str]]
    ahead_seconds: float


async def examine(engine: AsyncEngine) -> Examination:
    """How it stands.

    Raises:
        DBAPIError, OSError: the connection was lost.
    """
    async with engine.connect() as connection:
        ahead_seconds = await _ahead_seconds(connection)
        server = Server(*(await connection.execute(_SERVER)).one())
        tables = [table.name for table in METADATA.sorted_tables]
        lacking = dict[str, list[str]]()
        for table, privilege in await connection.execute(_LACKING, {"tables": tables, "needed": list(_NEEDED)}):
            lacking.setdefault(table, []).append(privilege)
    return Examination(server, lacking, ahead_seconds)


async def _ahead_seconds(connection: AsyncConnection) -> float:
    """Measured the second time, when nothing has to be prepared any more; half of the way there is ours."""
    await connection.execute(_CLOCK)
    before = time.time()
    told = float((await connection.execute(_CLOCK)).scalar_one())
    return told - (before + time.time()) / 2
