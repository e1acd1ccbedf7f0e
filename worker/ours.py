"""What this worker is about: the commands and queries that it takes, and what each of them does. Replace me."""

from contracts.batch import BatchHeroes
from contracts.heroes import COMMANDS
from contracts.queries import QUERIES
from worker import batch
from worker.entity import Entity
from worker.heroes import HANDLERS, last_change
from worker.queries import ANSWERS

OURS = Entity(
    (*COMMANDS, BatchHeroes),
    {**HANDLERS, **batch.HANDLERS},
    QUERIES,
    ANSWERS,
    secret_fields=frozenset({"secret_name"}),
    last_change=last_change,
)
