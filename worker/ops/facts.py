"""Everything that the page shows, as it was at one moment."""

from collections.abc import Mapping
from dataclasses import dataclass

from contracts.channels import DEAD_LETTERS
from worker.observability.readings import Reading
from worker.ops.letters import Grouped
from worker.ops.pace import Tempo


@dataclass(frozen=True, slots=True)
class QueueFact:
    """One queue as the broker tells it, and what this worker has to do with it; None: not known, or not its affair."""

    name: str
    ready: int | None = None
    consumers: int | None = None
    word: str = ""
    is_consumed_here: bool | None = None
    in_hand: int | None = None
    is_full: bool = False


@dataclass(frozen=True, slots=True)
class GateFact:
    """What is away, if anything, and for how long the gate was closed."""

    closed_because: str | None
    closed_seconds: float
    all_closed_seconds: float


@dataclass(frozen=True, slots=True)
class Owed:
    """Events that are not out yet, at the sweeper's last look, and when it last went round."""

    rows: int
    oldest_seconds: float
    round_at: float


@dataclass(frozen=True, slots=True)
class Facts:
    """A worker; what it can't tell before it has started is None."""

    at: float
    parts: Mapping[str, str | None] | None
    parts_not_known: str
    tempo: Tempo
    owed: Owed
    letters: Grouped
    sweep_after_seconds: float
    gate: GateFact | None = None
    reading: Reading | None = None
    queues: tuple[QueueFact, ...] = ()
    queues_not_known: str = ""

    @property
    def waiting_letters(self) -> int | None:
        """Letters in the dead-letter queue, whoever set them aside."""
        return next((queue.ready for queue in self.queues if queue.name == DEAD_LETTERS), None)
