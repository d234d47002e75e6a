"""Accounts, sessions, failures to sign in, the first-start link and personal settings."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Makes the tables of the first version."""
    op.create_table(
        "accounts",
        sa.Column("folded", sa.String(300), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("password_hash", sa.String(255), nullable=False),
        sa.Column("salt", sa.LargeBinary(16), nullable=False),
        sa.Column("sealed_proof", sa.LargeBinary(256), nullable=False),
        sa.Column("created_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("folded", name="pk_accounts"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("family", sa.String(32), nullable=False),
        sa.Column("account", sa.String(300), nullable=False),
        sa.Column("csrf", sa.String(64), nullable=False),
        sa.Column("sealed_proof", sa.LargeBinary(256), nullable=False),
        sa.Column("signed_in_ms", sa.BigInteger, nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("replaced_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sessions"),
    )
    for column in ("family", "account", "seen_ms"):
        op.create_index(f"ix_sessions_{column}", "sessions", [column])
    op.create_table(
        "sign_in_failures",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("failures", sa.BigInteger, nullable=False),
        sa.Column("last_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_sign_in_failures"),
    )
    op.create_index("ix_sign_in_failures_last_ms", "sign_in_failures", ["last_ms"])
    op.create_table(
        "setup_links",
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("made_ms", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_setup_links"),
    )
    op.create_table(
        "preferences",
        sa.Column("account", sa.String(300), nullable=False),
        sa.Column("values", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("account", name="pk_preferences"),
    )


def downgrade() -> None:
    """Removes them."""
    for table in ("preferences", "setup_links", "sign_in_failures", "sessions", "accounts"):
        op.drop_table(table)
