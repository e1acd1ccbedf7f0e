"""Decides what a replay does with one letter: it looks at the inbox and changes nothing.

A replay may repeat, since the inbox knows every command that took effect; it may not overtake: a dead letter ends its
order, so what changed since, and what the inbox may have forgotten, is left to a person.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from contracts.envelope import Command
from worker.messaging.decode import Decoder
from worker.messaging.letter import DeadLetter
from worker.outcomes import OutcomeKind
from worker.persistence.database import Sessions
from worker.persistence.replays import Known, LastChange, asked, known


class Act(StrEnum):
    """What is done with a letter, in the words of the summary."""

    REPLAY = "sent again"
    ANNOUNCE = "sent again to have its end announced; it comes back as a letter that can be replayed"
    REMOVE_APPLIED = "removed: the command was applied meanwhile"
    REMOVE_REJECTED = "removed: the command was rejected meanwhile"
    REFUSE_CHANGED = "refused: what it is about has changed since"
    REFUSE_OLD = "refused: older than the inbox's retention, so nobody knows whether it took effect"
    REFUSE_OTHER = "refused: its id was handled with another content, so it would only come back"
    FAIL = "failed: the broker did not take it"

    @property
    def removes_only(self) -> bool:
        """The letter goes and nothing is sent."""
        return self in {Act.REMOVE_APPLIED, Act.REMOVE_REJECTED}

    @property
    def refuses(self) -> bool:
        """Only --force does it all the same."""
        return self in {Act.REFUSE_CHANGED, Act.REFUSE_OLD, Act.REFUSE_OTHER}

    @property
    def leaves(self) -> bool:
        """The letter stays where it is."""
        return self.refuses or self is Act.FAIL


@dataclass(frozen=True, slots=True)
class Ruling:
    """What to do, and whose row to take back before: a row that says how the command was given up."""

    act: Act
    releases: Command | None = None
    sends: Mapping[str, datetime] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judge:
    """Knows the inbox, the contract and the entity."""

    sessions: Sessions
    decoder: Decoder
    last_change: LastChange | None
    retention: timedelta
    force: bool
    _sent: dict[str, datetime] = field(default_factory=dict)
    """What was sent in this run, by ordering key, and since when that was a letter: its change is our own."""

    async def rule(self, letter: DeadLetter) -> Ruling:
        """What is right for this letter now.

        Raises:
            UnreachableError: the database is away.
        """
        command = self._command(letter)
        async with asked(self.sessions) as session:
            row = await known(session, letter.command_id, command) if letter.command_id else None
            ruling = _by_inbox(row, command)
            if ruling.act is not Act.REPLAY or self.force:
                return ruling
            since = row.handled_at if row else letter.set_aside_at
            if since is None or datetime.now(UTC) - since > self.retention:
                return Ruling(Act.REFUSE_OLD)
            keys = [key for key in command.ordering_keys if key != command.id] if command else []
            if await self._overtakes(session, keys, since):
                return Ruling(Act.REFUSE_CHANGED)
        return replace(ruling, sends=dict.fromkeys(keys, since))

    def sent(self, ruling: Ruling) -> None:
        """What this letter changes from now on stands in nobody's way that was set aside after it."""
        self._sent.update(ruling.sends)

    async def _overtakes(self, session: Any, keys: Sequence[str], since: datetime) -> bool:
        if any(key in self._sent and self._sent[key] > since for key in keys):
            return True  # letters may stand in another order than they were set aside
        others = [key for key in keys if key not in self._sent]
        changed = await self.last_change(session, others) if others and self.last_change else None
        return changed is not None and changed > since

    def _command(self, letter: DeadLetter) -> Command | None:
        decoded = self.decoder.decode(letter.body, letter.message.content_type)
        return decoded if isinstance(decoded, Command) else None


def _by_inbox(row: Known | None, command: Command | None) -> Ruling:
    if row is None:
        return Ruling(Act.REPLAY)
    if not row.same:
        return Ruling(Act.REFUSE_OTHER)
    if row.outcome is OutcomeKind.APPLIED:
        return Ruling(Act.REMOVE_APPLIED)
    if row.outcome is OutcomeKind.REJECTED:
        return Ruling(Act.REMOVE_REJECTED)
    return Ruling(Act.REPLAY, command) if row.published else Ruling(Act.ANNOUNCE)
