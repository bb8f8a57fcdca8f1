"""Signed statements of results, and the images that they speak of."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "attestations",
        sa.Column("run", ID, nullable=False),
        sa.Column("attempt", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("keyid", sa.Text(), nullable=False),
        sa.Column("payload", sa.Text(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run", "attempt"),
    )
    op.create_table(
        "attested_images",
        sa.Column("digest", ID, nullable=False),
        sa.Column("gave", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("attempt", ID, nullable=False),
        sa.PrimaryKeyConstraint("digest", "gave", "at", "run", "attempt"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("attested_images")
    op.drop_table("attestations")
