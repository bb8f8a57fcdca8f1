"""Lists of runs by outcome and by author."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

ENDED = sa.text("finished_at IS NOT NULL")


def upgrade() -> None:
    op.create_index("runs_author", "runs", ["author", "seq"])
    op.create_index("runs_project_author", "runs", ["project", "author", "seq"])
    for name, columns in (
        ("runs_outcome", ["outcome", "seq"]),
        ("runs_project_outcome", ["project", "outcome", "seq"]),
    ):
        op.create_index(name, "runs", columns, sqlite_where=ENDED, postgresql_where=ENDED)


def downgrade() -> None:
    for name in ("runs_project_outcome", "runs_outcome", "runs_project_author", "runs_author"):
        op.drop_index(name, "runs")
