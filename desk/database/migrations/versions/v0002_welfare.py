"""Exposure of today, and grants of clear views."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the two tables."""
    op.create_table(
        "exposure",
        sa.Column("account", sa.String(300), nullable=False),
        sa.Column("day", sa.String(10), nullable=False),
        sa.Column("clear_views", sa.BigInteger, nullable=False),
        sa.Column("clear_ms", sa.BigInteger, nullable=False),
        sa.Column("reduced_views", sa.BigInteger, nullable=False),
        sa.Column("desk_ms", sa.BigInteger, nullable=False),
        sa.Column("began_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("clear_until_ms", sa.BigInteger, nullable=False),
        sa.Column("last_ref", sa.String(32), nullable=False),
        sa.Column("last_ref_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_exposure"),
    )
    op.create_index("ix_exposure_seen_ms", "exposure", ["seen_ms"])
    op.create_table(
        "clear_grants",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("account", sa.String(300), nullable=False),
        sa.Column("ref", sa.String(32), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_clear_grants"),
    )
    for column in ("account", "made_ms"):
        op.create_index(f"ix_clear_grants_{column}", "clear_grants", [column])


def downgrade() -> None:
    """Removes them."""
    for table in ("clear_grants", "exposure"):
        op.drop_table(table)
