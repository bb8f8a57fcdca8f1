"""What GitHub could not deliver, how far its lists were compared, the last account; and windows by time."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
WINDOWS = (
    ("runs_created", "runs", ["created_at"]),
    ("attempts_at", "attempts", ["launched_at", "status"]),
    ("deliveries_received", "deliveries", ["received_at", "status"]),
)


def upgrade() -> None:
    for name, table, columns in WINDOWS:
        op.create_index(name, table, columns)
    op.create_table(
        "missed_deliveries",
        sa.Column("guid", ID, nullable=False),
        sa.Column("hook", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("ok", sa.Integer(), nullable=False),
        sa.Column("code", sa.Integer(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("first", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("asked_at", sa.BigInteger()),
        sa.Column("refused", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("guid"),
    )
    op.create_index("missed_deliveries_first", "missed_deliveries", ["first"])
    op.create_table(
        "hook_marks",
        sa.Column("hook", ID, nullable=False),
        sa.Column("upto", sa.BigInteger(), nullable=False),
        sa.Column("looked_at", sa.BigInteger(), nullable=False),
        sa.Column("due", sa.BigInteger(), nullable=False),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=False),
        sa.Column("aim", sa.BigInteger()),
        sa.PrimaryKeyConstraint("hook"),
    )
    op.create_table(
        "last_account",
        sa.Column("id", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("unaccounted", sa.Integer(), nullable=False),
        sa.Column("under_way", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )


def downgrade() -> None:
    for table in ("last_account", "hook_marks", "missed_deliveries"):
        op.drop_table(table)
    for name, table, _ in WINDOWS:
        op.drop_index(name, table)
