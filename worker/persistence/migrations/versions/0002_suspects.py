"""The suspects: commands that may be what ends the process, and how often each was started without coming to an end."""

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
        sa.Column("starts", sa.Integer, nullable=False),
        sa.Column("last_start", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("command_id", name="pk_suspect"),
    )


def downgrade() -> None:
    """It is gone."""
    op.drop_table("suspect")
