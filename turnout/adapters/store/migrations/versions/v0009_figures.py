"""Figures: what runs that have ended add up to, by day and by project."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
UNCOUNTED = sa.text("finished_at IS NOT NULL AND counted_at IS NULL")


def upgrade() -> None:
    op.add_column("runs", sa.Column("counted_at", sa.BigInteger(), nullable=True))
    op.create_index("runs_uncounted", "runs", ["seq"], sqlite_where=UNCOUNTED, postgresql_where=UNCOUNTED)
    op.create_table(
        "tallies",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("day", ID, nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("project", "day"),
    )
    op.create_table(
        "deploys",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("stage", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("good", sa.Integer(), nullable=False),
        sa.Column("restored_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("project", "at", "run", "stage"),
    )


def downgrade() -> None:
    op.drop_table("deploys")
    op.drop_table("tallies")
    op.drop_index("runs_uncounted", "runs")
    op.drop_column("runs", "counted_at")
