"""What the worker tells whoever looks on: one call for each thing that happens, and by default nobody listens.

Who looks on neither raises nor waits, and changes nothing of what becomes of a command.
"""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from contracts.envelope import Command
from worker.outcomes import Outcome, Traits


class Step(StrEnum):
    """What a delivery spends its time on."""

    WAIT_TURN = "wait_turn"
    DECIDE = "decide"
    PUBLISH = "publish"
    SETTLE = "settle"


class Cause(StrEnum):
    """What an attempt failed at."""

    REFUSED = "refused"
    BUG = "bug"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class Sighting:
    """A message that has just arrived; `sent_at` is the broker's or the publisher's AMQP timestamp."""

    queue: str
    traits: Traits
    sent_at: datetime | None = None
    body_bytes: int = 0
    is_misrouted: bool = False


class Journey:
    """One delivery on its way."""

    __slots__ = ()

    def marked(self, command: Command) -> Command:
        """The command as it goes on from here; its events carry on its trace."""
        return command

    def starts(self) -> None:
        """Its turn has come: nobody before it is left in its lane."""

    def decided(self, outcome: Outcome) -> None:
        """Its outcome is known, and is announced now."""

    def announced(self) -> None:
        """Everything about it is confirmed; the broker is told now."""

    def settled(self) -> None:
        """The broker was told."""

    def gone(self) -> None:
        """It left, settled or not."""


class Watch:
    """The whole worker."""

    def arrived(self, sighting: Sighting) -> Journey:  # noqa: ARG002 - those who listen need it
        """A message has arrived; called in the delivery's own task."""
        return Journey()

    def transaction(self) -> AbstractContextManager[object]:
        """Stands around one attempt at the present delivery's transaction."""
        return nullcontext()

    def publication(self, exchange: str, messages: int) -> AbstractContextManager[object]:  # noqa: ARG002 - as above
        """Stands around the publication of what the present delivery caused."""
        return nullcontext()

    def retried(self, cause: str) -> None:
        """A piece of work failed and is tried again."""

    def published(self, event_type: str) -> None:
        """An event is out."""

    def confirmed(self, seconds: float) -> None:
        """The broker has confirmed a publication, after so long."""

    def unconfirmed(self, exchange: str) -> None:
        """The broker has refused a publication, or not confirmed it in time."""

    def reconnected(self, connection: str) -> None:
        """A lost connection is there again."""

    def owed(self, rows: int, oldest_seconds: float) -> None:
        """So many rows of the inbox stand unpublished just now, the oldest for so long."""

    def swept(self, commands: int) -> None:
        """So many commands' events, left behind by somebody, were published."""

    def pruned(self, rows: int) -> None:
        """So many old rows of the inbox are gone."""

    def tidied(self) -> None:
        """A whole round of sweeping and pruning went well."""
