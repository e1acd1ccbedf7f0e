"""The first tables: heroes and the inbox."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

_MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Both tables stand, empty."""
    op.create_table(
        "hero",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("secret_name", sa.Text, nullable=False),
        sa.Column("age", sa.Integer),
        sa.Column("version", sa.Integer, server_default=sa.text("1"), nullable=False),
        sa.Column("created_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.Column("updated_at", _MOMENT, server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_hero"),
    )
    op.create_index("ix_hero_name", "hero", ["name"])
    op.create_index("ix_hero_age", "hero", ["age"])
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
    )
    unpublished = sa.text("published_at IS NULL")
    op.create_index("ix_inbox_unpublished", "inbox", ["handled_at"], postgresql_where=unpublished)
    ranges = {"pages_per_range": 32}
    op.create_index("ix_inbox_handled_at", "inbox", ["handled_at"], postgresql_using="brin", postgresql_with=ranges)
    # Inserted and pruned all day: vacuum after a fixed number of changes, not after a share of a large table.
    op.execute(
        "ALTER TABLE inbox SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,"
        " autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,"
        " autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 50000)"
    )


def downgrade() -> None:
    """Neither table stands."""
    op.drop_table("inbox")
    op.drop_table("hero")
