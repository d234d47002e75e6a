"""Answers for reports of a case."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the table."""
    op.create_table(
        "report_answers",
        sa.Column("case_id", sa.String(128), nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.Column("by", sa.String(100), nullable=False),
        sa.Column("changed_ms", sa.BigInteger, nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("case_id", name="pk_report_answers"),
    )
    op.create_index("ix_report_answers_changed_ms", "report_answers", ["changed_ms"])


def downgrade() -> None:
    """Removes it."""
    op.drop_table("report_answers")
