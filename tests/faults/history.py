"""What one run showed from outside: what was published, what was heard, and what stood in tables and queues at the end.

Invariant: nothing here comes from the worker's own code.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any


@dataclass(frozen=True)
class Sent:
    """One command as its publisher knows it. Times are seconds since the run began."""

    hero: str  # the publisher's own name for it, like "h017"
    command_id: str
    kind: str
    name: str | None = None  # what a create or update carries
    expected_version: int | None = None
    confirmed: bool = True
    copies: int = 1
    first_sent_at: float = 0
    confirmed_at: float = 0


@dataclass(frozen=True)
class Heard:
    """One event message, in the order of arrival."""

    body: bytes
    at: float = 0

    @cached_property
    def event(self) -> dict[str, Any]:
        """Its envelope."""
        parsed: dict[str, Any] = json.loads(self.body)
        return parsed


@dataclass(frozen=True)
class InboxRow:
    """How a command ended, as the database tells it."""

    command_id: str
    outcome: str | None
    events: Sequence[Mapping[str, Any]]
    is_published: bool = True


@dataclass(frozen=True)
class HeroRow:
    """A hero at the end."""

    hero_id: int
    name: str
    version: int


@dataclass(frozen=True)
class Letter:
    """A dead letter at the end."""

    command_id: str | None
    reason: str


@dataclass(frozen=True)
class History:
    """All of it. `sent` holds each hero's commands in the order in which they were published."""

    sent: Mapping[str, Sequence[Sent]]
    heard: Sequence[Heard]
    inbox: Sequence[InboxRow]
    heroes: Sequence[HeroRow]
    letters: Sequence[Letter] = ()
    declared_letters: frozenset[str] = frozenset()  # ids of commands that the nemesis made undeliverable
    left_in_queues: Mapping[str, int] = field(default_factory=dict)

    @cached_property
    def row_of(self) -> Mapping[str, InboxRow]:
        """The inbox by command."""
        return {row.command_id: row for row in self.inbox}

    @cached_property
    def commands(self) -> Mapping[str, Sent]:
        """Every command that was published, by its id."""
        return {one.command_id: one for commands in self.sent.values() for one in commands}

    def counting(self, hero: str) -> Sequence[Sent]:
        """The hero's commands that reached the broker: an unconfirmed one only if it has an outcome."""
        return [one for one in self.sent[hero] if one.confirmed or one.command_id in self.row_of]
