"""The machinery's own tables: the inbox, and the suspects.

The suspects: which process started which command that may be what ends it, and has not come to an end with it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Both tables stand, empty."""
    op.create_table(
        "inbox",
        sa.Column("command_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("command_type", sa.Text, nullable=False),
        sa.Column("fingerprint", sa.LargeBinary, nullable=False),
        sa.Column("outcome", sa.Text),
        sa.Column("events", sa.JSON),
        sa.Column("handled_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("published_at", _MOMENT),
        sa.PrimaryKeyConstraint("command_id", name="pk_inbox"),
        if_not_exists=True,  # the first form of 0001 made it, with its indexes
    )
    unpublished = sa.text("published_at IS NULL")
    op.create_index("ix_inbox_unpublished", "inbox", ["handled_at"], postgresql_where=unpublished, if_not_exists=True)
    ranges = {"pages_per_range": 32}
    op.create_index(
        "ix_inbox_handled_at",
        "inbox",
        ["handled_at"],
        postgresql_using="brin",
        postgresql_with=ranges,
        if_not_exists=True,
    )
    # Inserted and pruned all day: vacuum after a fixed number of changes, not after a share of a large table.
    op.execute(
        "ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,"
        " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,"
        " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)"
    )
    op.create_table(
        "suspect",
        sa.Column("command_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("process_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("started_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("command_id", "process_id", name="pk_suspect"),
    )


def downgrade() -> None:
    """Neither table stands."""
    op.drop_table("suspect")
    op.drop_table("inbox")
