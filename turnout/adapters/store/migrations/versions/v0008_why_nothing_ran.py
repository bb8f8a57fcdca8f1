"""Which rule decided that a delivery makes no run, and the commit that a delivery is about."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
NAMED = sa.text("sha <> ''")


def upgrade() -> None:
    op.add_column("deliveries", sa.Column("sha", ID, nullable=False, server_default=""))
    op.add_column("deliveries", sa.Column("why", sa.Text(), nullable=False, server_default=""))
    op.create_index(
        "deliveries_sha", "deliveries", ["sha", "seq"], sqlite_where=NAMED, postgresql_where=NAMED
    )


def downgrade() -> None:
    op.drop_index("deliveries_sha", "deliveries")
    op.drop_column("deliveries", "why")
    op.drop_column("deliveries", "sha")
