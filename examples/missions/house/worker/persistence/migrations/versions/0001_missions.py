"""The missions. Takes the place of 0001_heroes.py: the migrations after it know none of either."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """The table stands, empty."""
    op.create_table(
        "mission",
        sa.Column("id", sa.BigInteger, sa.Identity(always=True), nullable=False),
        sa.Column("title", sa.Text, nullable=False),
        sa.Column("finished", sa.Boolean, server_default=sa.false(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_mission"),
    )


def downgrade() -> None:
    """It is gone."""
    op.drop_table("mission")
