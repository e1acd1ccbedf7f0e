"""The tables of the generic machinery; the entity's own table stands with its handlers, on the same metadata.

`inbox.events` holds the envelopes exactly as they are published: what stands there once never changes.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Index, MetaData, Text, Uuid, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    """Where every table of the worker is registered; the migrations are compared with it."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
        }
    )


class InboxRow(Base):
    """One handled command: what became of it and what had to be published about it."""

    __tablename__ = "inbox"
    __table_args__ = (
        Index("ix_inbox_unpublished", "handled_at", postgresql_where=text("published_at IS NULL")),
        # Rows come and go in the order of time: block ranges find what is old at a fraction of a B-tree's cost.
        Index("ix_inbox_handled_at", "handled_at", postgresql_using="brin", postgresql_with={"pages_per_range": 32}),
    )

    command_id: Mapped[str] = mapped_column(Uuid(as_uuid=False), primary_key=True)
    command_type: Mapped[str] = mapped_column(Text)
    fingerprint: Mapped[bytes]
    outcome: Mapped[str | None] = mapped_column(Text)
    events: Mapped[Any | None] = mapped_column(JSONB)
    handled_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=text("now()"))
    published_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
