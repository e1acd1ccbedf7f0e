"""Commands that are claimed, recorded and marked in the inbox of a real database, as a worker does it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy import text

from contracts.envelope import Command
from worker.outcomes import Fact, Outcome, applied
from worker.persistence import inbox
from worker.persistence.database import Database
from worker.persistence.inbox import Claim, IdReused
from worker.persistence.transactions import Driver

TIME = "2026-01-02T03:04:05.000006Z"


def outcome_of(command: Command, name: str = "Ada") -> Outcome:
    """As if the command had made a hero."""
    return applied(command, [Fact("hero.created", "7", {"hero": {"id": 7, "name": name, "age": None}})], TIME)


async def handle(driver: Driver, command: Command) -> Outcome:
    """Claims and records, as one command does."""
    claim = await inbox.claim(driver, command)
    assert isinstance(claim, Claim)
    outcome = outcome_of(command)
    await inbox.record(driver, outcome)
    return outcome


async def handled(database: Database, *commands: Command) -> list[Outcome]:
    """Each of them in a transaction of its own."""
    outcomes = []
    for command in commands:
        async with database.transactions.begin() as (driver, _):
            outcomes.append(await handle(driver, command))
    return outcomes


class UndoneError(Exception):
    """Ends a transaction without effect."""


@asynccontextmanager
async def undone(database: Database) -> AsyncIterator[Driver]:
    """A transaction that is rolled back."""
    with suppress(UndoneError):
        async with database.transactions.begin() as (driver, _):
            yield driver
            raise UndoneError


async def look(database: Database, command: Command) -> Claim | Outcome | IdReused:
    """What a later delivery would find, leaving no trace."""
    async with undone(database) as driver:
        return await inbox.claim(driver, command)


async def age(database: Database, command: Command, **parts: int) -> None:
    """The command was handled so long ago."""
    async with database.side_sessions.begin() as session:
        interval = " ".join(f"{number} {unit}" for unit, number in parts.items())
        question = f"UPDATE inbox SET handled_at = now() - interval '{interval}' WHERE command_id = '{command.id}'"  # noqa: S608 - our own values
        await session.execute(text(question))


async def mark(database: Database, *commands: Command) -> None:
    """The events of these commands are out."""
    async with database.transactions.begin() as (driver, session):
        outcomes = [await inbox.claim(driver, command) for command in commands]
        await inbox.mark_published(
            session, {one.command_id: one.mark for one in outcomes if isinstance(one, Outcome) and one.command_id}
        )
