"""Whose deploy is in an environment, so that nobody puts something older over it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "deployed",
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.PrimaryKeyConstraint("project", "environment"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("deployed")
