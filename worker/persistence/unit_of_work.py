"""One command, one session, one transaction: claimed, decided and recorded together, or not at all.

What an earlier delivery of the same command decided stands, whoever asks again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from worker.outcomes import Handled, Outcome
from worker.persistence import inbox
from worker.persistence.inbox import Claim, IdReused
from worker.persistence.pace import Pace
from worker.persistence.permits import Permits
from worker.persistence.suspects import Suspects
from worker.persistence.transactions import Transactions
from worker.watch import Watch

Handler = Callable[[AsyncSession, Any], Awaitable[Handled]]
"""Applies one command's data in the open session and returns its facts, or a rejection. Never commits or publishes.

One that rejects has written nothing, or has undone it with a savepoint: the rejection is committed as it stands."""

Decide = Callable[[AsyncSession, Claim], Awaitable[Outcome]]

CRASHES = 2
"""So many processes that started a command, with no other at work, and never ended it, are no accident."""


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """Opens the one transaction of a command, with a permit in hand."""

    transactions: Transactions
    permits: Permits
    suspects: Suspects
    pace: Pace
    watch: Watch = field(default_factory=Watch)

    async def run(self, command: Command, decide: Decide) -> Outcome | IdReused:
        """The outcome that stands in the inbox, committed: an earlier one, or what `decide` just made.

        Raises:
            HeldBackError: too many events are owed; nothing was begun.
        """
        async with self.permits.one():
            self.pace.require_room()
            return await self._transaction(command, decide)

    async def run_alone(self, command: Command, decide: Decide, give_up: Decide) -> Outcome | IdReused:
        """The same with no other command at work; `give_up` decides if this one has ended the process before."""
        async with self.permits.all():
            self.pace.require_room()
            async with self.suspects.started(command.id) as crashes:
                return await self._transaction(command, decide if crashes < CRASHES else give_up)

    async def _transaction(self, command: Command, decide: Decide) -> Outcome | IdReused:
        with self.watch.transaction():
            async with self.transactions.begin() as (driver, session):
                claimed = await inbox.claim(driver, command)
                if not isinstance(claimed, Claim):
                    return claimed
                outcome = await decide(session, claimed)
                await inbox.record(driver, outcome)
            return outcome
