"""The tables of the generic machinery; the entity's own table stands with its handlers, on the same metadata.

`inbox.events` holds the envelopes exactly as they are published: what stands there once never changes.
"""

from sqlalchemy import (
    JSON,
    Column,
    DateTime,
    Index,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    Uuid,
    text,
)

MOMENT = DateTime(timezone=True)

# Where every table of the worker is registered; the migrations are compared with it.
METADATA = MetaData()

INBOX = Table(
    "inbox",
    METADATA,
    Column("command_id", Uuid(as_uuid=False), nullable=False),
    Column("command_type", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("outcome", Text),  # null only inside the transaction that claims the command
    Column("events", JSON),  # kept as written: jsonb would rewrite numbers, and a repeat be other bytes
    Column("handled_at", MOMENT, server_default=text("now()"), nullable=False),
    Column("published_at", MOMENT),
    PrimaryKeyConstraint("command_id", name="pk_inbox"),
    Index("ix_inbox_unpublished", "handled_at", postgresql_where=text("published_at IS NULL")),
    # Rows come and go in the order of time: block ranges find what is old at a fraction of a B-tree's cost.
    Index("ix_inbox_handled_at", "handled_at", postgresql_using="brin", postgresql_with={"pages_per_range": 32}),
)

SUSPECT = Table(
    "suspect",
    METADATA,
    Column("command_id", Uuid(as_uuid=False), nullable=False),
    Column("process_id", Uuid(as_uuid=False), nullable=False),
    Column("started_at", MOMENT, server_default=text("now()"), nullable=False),
    PrimaryKeyConstraint("command_id", "process_id", name="pk_suspect"),
)
