"""The plan of the house: which room stands above which, which library is used where, where an entity has its place."""

import re

# Imports run from the later to the earlier; rooms on one line don't import each other.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("contracts",),
    ("worker.errors",),
    ("worker.documents", "worker.tls", "worker.collector"),
    ("worker.outcomes", "worker.failsafe", "worker.settings"),
    ("worker.watch",),
    ("worker.persistence", "worker.messaging", "worker.observability"),
    ("worker.heroes",),
    ("worker.batch", "worker.queries"),
    ("worker.retry",),
    ("worker.pipeline", "worker.sweeper", "worker.attendance", "worker.answering", "worker.readiness"),
    ("worker.entity",),
    ("worker.ours",),
    ("worker.assembly",),
    ("worker.ops",),
    ("worker.front",),
    ("worker.app",),
    ("worker.operations", "worker.supervisor"),
    ("worker.cli",),
    ("worker.__main__",),
)
APART = "worker.local"  # brings servers for those who have none; the worker neither uses it nor is used by it
RANKS = {room: rank for rank, rooms in enumerate(LAYERS) for room in rooms} | {APART: -1, "worker": 1}

AMQP = ("worker.messaging", "worker.assembly", "worker.app", "worker.operations.calling", "contracts.client", APART)
SQL = ("worker.persistence", "worker.heroes", "worker.batch", "worker.queries")
FENCES: dict[str, tuple[str, ...]] = {
    "faststream": ("worker.messaging", "worker.assembly"),
    "aio_pika": AMQP,
    "aiormq": AMQP,
    "pamqp": AMQP,
    "sqlalchemy": SQL,
    "alembic": SQL,
    "asyncpg": ("worker.persistence", APART),
    "greenlet": ("worker.persistence",),
}

ENTITY = (
    "worker.heroes",
    "worker.batch",
    "worker.queries",
    "worker.ours",
    "worker.operations.send",
    "worker.operations.send_batch",
    "worker.operations.ask",
    APART,
)
MIGRATIONS = "worker.persistence.migrations.versions"
# The product has a name, and a generic room may say it; nothing else with the word in it.
PRODUCT = re.compile(r"heroes-worker|heroes-dropped|HEROES_|heroes (setup|check|worker|send|queues|dead-letters)\b")
PROGRAM = re.compile(r"^heroes$|The `heroes` program")
