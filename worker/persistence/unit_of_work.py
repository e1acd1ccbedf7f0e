"""One command, one session, one transaction: claimed, decided and recorded together, or not at all.

What an earlier delivery of the same command decided stands, whoever asks again.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from contracts.envelope import Command
from worker.outcomes import Handled, Outcome
from worker.persistence import inbox
from worker.persistence.database import Sessions
from worker.persistence.inbox import Claim, IdReused
from worker.persistence.permits import Permits

Handler = Callable[[AsyncSession, Any], Awaitable[Handled]]
"""Applies one command's data in the open session and returns its facts, or a rejection. Never commits or publishes.

One that rejects has written nothing, or has undone it with a savepoint: the rejection is committed as it stands."""

Decide = Callable[[AsyncSession, Claim], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class UnitOfWork:
    """Opens the one transaction of a command, with a permit in hand."""

    sessions: Sessions
    permits: Permits

    async def run(self, command: Command, decide: Decide) -> Outcome | IdReused:
        """The outcome that stands in the inbox, committed: an earlier one, or what `decide` just made."""
        async with self.permits.one(), self.sessions.begin() as session:
            claimed = await inbox.claim(session, command)
            if not isinstance(claimed, Claim):
                return claimed
            outcome = await decide(session, claimed)
            await inbox.record(session, outcome)
        return outcome
