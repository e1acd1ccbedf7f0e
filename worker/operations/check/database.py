"""Tells what the database means for a worker: its tables, this role's rights to them, and its clock."""

import asyncio
from collections.abc import Iterator

import worker.ours  # noqa: F401 - the entity's table is registered by it
from worker.errors import ExitCode, RefuseToStartError, UnreachableError
from worker.failsafe import Failure, caught
from worker.messaging.connection import without_password
from worker.operations.check.finding import Finding
from worker.persistence import schema
from worker.persistence.examination import Examination, examine
from worker.settings import Settings

_TABLES, _CLOCK = "tables", "clock"
_BROKEN_OFF = "stopped answering in the middle"
_LOOK_SECONDS = 10.0
_GRACE_SECONDS = 0.5
_BESIDE_THE_POOL = 8  # the two small pools, the probe, and one that is being replaced

# A dead letter carries its worker's time, and a replay compares it with the database's to tell what came later.
_NOTED_SKEW_SECONDS = 5.0
_WRONG_SKEW_SECONDS = 60.0


async def check_database(settings: Settings, wait_seconds: float) -> list[Finding]:
    """It answers and takes writes, its tables are right, and this role may use them."""
    part = f"database {without_password(settings.database_url)}"
    found = list[Finding]()
    try:
        async with asyncio.timeout(wait_seconds + _GRACE_SECONDS) as limit:
            shown = without_password(settings.database_url)
            async with schema.reached(settings.database_url, shown, wait_seconds) as engine:
                limit.reschedule(asyncio.get_running_loop().time() + _LOOK_SECONDS)
                found.append(Finding(part, "it answers"))
                seen = await caught(examine, engine)
                if isinstance(seen, Failure):
                    return [_away(part, _BROKEN_OFF)]
                found[:] = [*_about(part, seen, settings), *_clock(seen.ahead_seconds)]
                await schema.verify(engine)
                found += _tables(seen)
    except TimeoutError:
        return [_away(part, _BROKEN_OFF if found else f"did not answer within {wait_seconds:g} s")]
    except RefuseToStartError as error:
        found.append(Finding.refused(_TABLES if found else part, error))
    return found


def _away(part: str, when: str) -> Finding:
    error = UnreachableError(f"PostgreSQL {when}", "is it running, and is HEROES_DATABASE_URL right?")
    return Finding.refused(part, error)


def _about(part: str, seen: Examination, settings: Settings) -> Iterator[Finding]:
    server = seen.server
    yield Finding(part, f"PostgreSQL {server.version}")
    if server.is_read_only:
        do = "name the primary in HEROES_DATABASE_URL (or look at default_transaction_read_only)"
        yield Finding.wrong("database", "it takes no writes: a standby, or set to read only", do, ExitCode.UNREACHABLE)
    if server.synchronous_commit == "off":
        told = "synchronous_commit is off: a crash of the server forgets commands that were acknowledged"
        yield Finding.wrong("database", told, "set it to on, at least for this role")
    wanted = settings.concurrency + _BESIDE_THE_POOL
    if wanted > server.connections:
        told = f"a worker opens up to {wanted} connections, the server takes {server.connections} in all"
        yield Finding.note("database", told, "lower HEROES_CONCURRENCY, or raise max_connections")


def _clock(ahead_seconds: float) -> Iterator[Finding]:
    apart = abs(ahead_seconds)
    if apart <= _NOTED_SKEW_SECONDS:
        yield Finding(_CLOCK, "this machine's and the database's agree")
        return
    told = f"the database's clock is {apart:.0f} s {'ahead of' if ahead_seconds > 0 else 'behind'} this machine's"
    do = "have both set by NTP"
    if apart > _WRONG_SKEW_SECONDS:
        told = f"{told}: a replay of dead letters can't tell what came later"
        yield Finding.wrong(_CLOCK, told, do)
    else:
        yield Finding.note(_CLOCK, told, do)


def _tables(seen: Examination) -> Iterator[Finding]:
    yield Finding(_TABLES, "they are those of this version")
    for table, rights in seen.lacking.items():
        do = "give it the rights of docs/security.md, as the owner of the tables"
        yield Finding.wrong("rights", f"this role may not {', '.join(rights)} on table {table}", do)
