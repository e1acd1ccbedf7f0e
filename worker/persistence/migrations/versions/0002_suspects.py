"""The suspects: which process started which command that may be what ends it, and has not come to an end with it."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table stands, empty."""
    op.create_table(
        "suspect",
        sa.Column("command_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("process_id", sa.Uuid(as_uuid=False), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("command_id", "process_id", name="pk_suspect"),
    )


def downgrade() -> None:
    """It is gone."""
    op.drop_table("suspect")
