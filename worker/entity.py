"""What a worker must be told of its entity; everything else in the house is told by this and knows none."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.envelope import Command, Query
from worker.persistence.database import Answer
from worker.persistence.replays import LastChange
from worker.persistence.unit_of_work import Handler
from worker.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Entity:
    """The types of messages that are taken, what each does, and how patiently a command is tried again."""

    commands: Sequence[type[Command]]
    handlers: Mapping[str, Handler]
    queries: Sequence[type[Query]] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    secret_fields: frozenset[str] = frozenset()
    """Fields whose values no operator is shown unasked."""
    last_change: LastChange | None = None
    """So that a dead letter is not replayed over what happened since; without it nobody can tell."""
