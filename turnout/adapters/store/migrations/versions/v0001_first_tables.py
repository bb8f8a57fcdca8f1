"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

ID = sa.String().with_variant(sa.String(collation="C"), "postgresql")
SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def only(condition: str) -> dict[str, Any]:
    """A partial index, in both databases."""
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "deliveries",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("source", ID, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("message", ID, nullable=False),
        sa.Column("trigger_row", sa.BigInteger()),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("source", "id", name="deliveries_id"),
    )
    op.create_index("deliveries_repository", "deliveries", ["repository", "seq"])
    op.create_index("deliveries_unanswered", "deliveries", ["received_at"], **only("status = 'published'"))

    op.create_table(
        "inbox",
        sa.Column("message", ID, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("message"),
        sqlite_with_rowid=False,
    )
    op.create_index("inbox_at", "inbox", ["at"])

    op.create_table(
        "log_groups",
        sa.Column("name", ID, nullable=False),
        sa.Column("generation", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )

    op.create_table(
        "log_heads",
        sa.Column("topic", ID, nullable=False),
        sa.Column("partition_no", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition_no"),
    )

    op.create_table(
        "log_members",
        sa.Column("group_name", ID, nullable=False),
        sa.Column("member", ID, nullable=False),
        sa.Column("session", ID, nullable=False),
        sa.Column("topics", sa.Text(), nullable=False),
        sa.Column("host", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", sa.Text(), nullable=False),
        sa.Column("heard_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "member"),
        sa.UniqueConstraint("session", name="log_members_session"),
    )

    op.create_table(
        "log_positions",
        sa.Column("group_name", ID, nullable=False),
        sa.Column("topic", ID, nullable=False),
        sa.Column("partition_no", sa.Integer(), nullable=False),
        sa.Column("committed", sa.BigInteger(), nullable=False),
        sa.Column("owner", ID, nullable=False),
        sa.Column("epoch", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("group_name", "topic", "partition_no"),
    )

    op.create_table(
        "outbox",
        sa.Column("id", SERIAL, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("topic", ID, nullable=False),
        sa.Column("partition_no", sa.Integer()),
        sa.Column("offset_no", sa.BigInteger()),
        sa.Column("record_key", sa.LargeBinary(), nullable=False),
        sa.Column("headers", sa.Text(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("published_at", sa.BigInteger()),
        sa.PrimaryKeyConstraint("id"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "outbox_log",
        "outbox",
        ["topic", "partition_no", "offset_no"],
        unique=True,
        **only("partition_no IS NOT NULL"),
    )
    op.create_index(
        "outbox_sent",
        "outbox",
        ["published_at", "id"],
        **only("published_at IS NOT NULL AND partition_no IS NULL"),
    )
    op.create_index("outbox_unpublished", "outbox", ["id"], **only("published_at IS NULL"))
    op.create_index("outbox_unpublished_run", "outbox", ["run", "id"], **only("published_at IS NULL"))

    op.create_table(
        "projects",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("runs", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )

    op.create_table(
        "reports",
        sa.Column("run", ID, nullable=False),
        sa.Column("channel", ID, nullable=False),
        sa.Column("fact", ID, nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("reference", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("run", "channel", "fact"),
    )

    op.create_table(
        "runs",
        sa.Column("seq", SERIAL, nullable=False),
        sa.Column("id", ID, nullable=False),
        sa.Column("project", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("branch", sa.Text(), nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("finished_at", sa.BigInteger()),
        sa.Column("group_name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("due_at", sa.BigInteger()),
        sa.Column("state", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("seq"),
        sa.UniqueConstraint("id", name="runs_id"),
        sa.UniqueConstraint("project", "number", name="runs_project_number"),
    )
    op.create_index("runs_branch", "runs", ["branch", "seq"])
    op.create_index("runs_due", "runs", ["due_at"], **only("due_at IS NOT NULL"))
    op.create_index("runs_group", "runs", ["project", "group_name", "seq"], **only("finished_at IS NULL"))
    op.create_index("runs_number", "runs", ["number", "seq"])
    op.create_index("runs_open", "runs", ["status", "seq"], **only("finished_at IS NULL"))
    op.create_index("runs_project", "runs", ["project", "seq"])
    op.create_index("runs_project_branch", "runs", ["project", "branch", "seq"])

    op.create_table(
        "attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("run", ID, nullable=False),
        sa.Column("task", sa.Text(), nullable=False),
        sa.Column("agent", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("status", sa.Text(), nullable=False),
        sa.Column("launched_at", sa.BigInteger(), nullable=False),
        sa.Column("launch_deadline", sa.BigInteger(), nullable=False),
        sa.Column("lease_until", sa.BigInteger()),
        sa.Column("finished_at", sa.BigInteger()),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("attempts_launched", "attempts", ["launched_at"], **only("status = 'launched'"))
    op.create_index("attempts_lease", "attempts", ["lease_until"], **only("lease_until IS NOT NULL"))
    op.create_index("attempts_open", "attempts", ["run"], **only("finished_at IS NULL"))

    op.create_table(
        "events",
        sa.Column("run", ID, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["run"],
            ["runs.id"],
        ),
        sa.PrimaryKeyConstraint("run", "version"),
    )


def downgrade() -> None:
    for table in (
        "events",
        "attempts",
        "runs",
        "reports",
        "projects",
        "outbox",
        "log_positions",
        "log_members",
        "log_heads",
        "log_groups",
        "inbox",
        "deliveries",
    ):
        op.drop_table(table)
