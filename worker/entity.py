"""What this worker is about: the commands and queries that it takes, and what each of them does. Replace me.

Everything else in the house is told by this and knows no hero.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from contracts.batch import BatchHeroes
from contracts.envelope import Command, Query
from contracts.heroes import COMMANDS
from contracts.queries import QUERIES
from worker import batch
from worker.heroes import HANDLERS
from worker.persistence.database import Answer
from worker.persistence.unit_of_work import Handler
from worker.queries import ANSWERS
from worker.retry import RetryPolicy


@dataclass(frozen=True, slots=True)
class Entity:
    """The types of messages that are taken, what each does, and how patiently a command is tried again."""

    commands: Sequence[type[Command]]
    handlers: Mapping[str, Handler]
    queries: Sequence[type[Query]] = ()
    answers: Mapping[str, Answer] = field(default_factory=dict)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


HEROES = Entity((*COMMANDS, BatchHeroes), {**HANDLERS, **batch.HANDLERS}, QUERIES, ANSWERS)
