"""The tables, the same in SQLite and PostgreSQL. What a migration made last is what stands here; a test compares them.

Times are microseconds since the epoch. Every index answers one query of the store, so that no cost grows with history;
partial ones hold only what is still open. The embedded log has no table of its own for records: the outbox is the log.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

METADATA = MetaData()

ID = String().with_variant(String(collation="C"), "postgresql")
"""Compared byte by byte, so that a prefix is a range."""
SERIAL = BigInteger().with_variant(Integer, "sqlite")
INSTANT = BigInteger()

inbox = Table(
    "inbox",
    METADATA,
    Column("message", ID, primary_key=True),
    Column("run", ID, nullable=False),
    Column("at", INSTANT, nullable=False),
    Index("inbox_at", "at"),
    sqlite_with_rowid=False,
)

projects = Table(
    "projects",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("runs", Integer, nullable=False),
)
"""``runs``: how many there are, which is the number of the newest one."""

runs = Table(
    "runs",
    METADATA,
    Column("seq", SERIAL, primary_key=True),
    Column("id", ID, nullable=False),
    Column("project", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("repository", Text, nullable=False),
    Column("branch", Text, nullable=False),
    Column("sha", Text, nullable=False),
    Column("title", Text, nullable=False),
    Column("author", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("finished_at", INSTANT),
    Column("group_name", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("due_at", INSTANT),
    Column("state", Text, nullable=False),
    Column("counted_at", INSTANT),
    UniqueConstraint("id", name="runs_id"),
    UniqueConstraint("project", "number", name="runs_project_number"),
    Index("runs_number", "number", "seq"),
    Index("runs_project", "project", "seq"),
    Index("runs_branch", "branch", "seq"),
    Index("runs_project_branch", "project", "branch", "seq"),
    Index("runs_created", "created_at"),
    Index("runs_author", "author", "seq"),
    Index("runs_project_author", "project", "author", "seq"),
    Index(
        "runs_outcome",
        "outcome",
        "seq",
        sqlite_where=text("finished_at IS NOT NULL"),
        postgresql_where=text("finished_at IS NOT NULL"),
    ),
    Index(
        "runs_project_outcome",
        "project",
        "outcome",
        "seq",
        sqlite_where=text("finished_at IS NOT NULL"),
        postgresql_where=text("finished_at IS NOT NULL"),
    ),
    Index(
        "runs_open",
        "status",
        "seq",
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index(
        "runs_group",
        "project",
        "group_name",
        "seq",
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index(
        "runs_uncounted",
        "seq",
        sqlite_where=text("finished_at IS NOT NULL AND counted_at IS NULL"),
        postgresql_where=text("finished_at IS NOT NULL AND counted_at IS NULL"),
    ),
    Index(
        "runs_due",
        "due_at",
        sqlite_where=text("due_at IS NOT NULL"),
        postgresql_where=text("due_at IS NOT NULL"),
    ),
)
"""``seq`` is the order of creation. ``state`` is the run as `turnout.core.run.dump` gives it: a load is one row.
``counted_at``: when it was added to the figures, after its end."""

events = Table(
    "events",
    METADATA,
    Column("run", ID, ForeignKey("runs.id"), primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("kind", Text, nullable=False),
    Column("body", Text, nullable=False),
)

attempts = Table(
    "attempts",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("run", ID, ForeignKey("runs.id"), nullable=False),
    Column("task", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("launched_at", INSTANT, nullable=False),
    Column("launch_deadline", INSTANT, nullable=False),
    Column("lease_until", INSTANT),
    Column("finished_at", INSTANT),
    Index("attempts_at", "launched_at", "status"),
    Index(
        "attempts_open",
        "run",
        sqlite_where=text("finished_at IS NULL"),
        postgresql_where=text("finished_at IS NULL"),
    ),
    Index(
        "attempts_lease",
        "lease_until",
        sqlite_where=text("lease_until IS NOT NULL"),
        postgresql_where=text("lease_until IS NOT NULL"),
    ),
    Index(
        "attempts_launched",
        "launched_at",
        sqlite_where=text("status = 'launched'"),
        postgresql_where=text("status = 'launched'"),
    ),
)
"""``lease_until`` is empty before the first lease, and again once the attempt has finished."""

outbox = Table(
    "outbox",
    METADATA,
    Column("id", SERIAL, primary_key=True),
    Column("run", ID, nullable=False),
    Column("topic", ID, nullable=False),
    Column("partition_no", Integer),
    Column("offset_no", BigInteger),
    Column("record_key", LargeBinary, nullable=False),
    Column("headers", Text, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created_at", INSTANT, nullable=False),
    Column("published_at", INSTANT),
    Index(
        "outbox_log",
        "topic",
        "partition_no",
        "offset_no",
        unique=True,
        sqlite_where=text("partition_no IS NOT NULL"),
        postgresql_where=text("partition_no IS NOT NULL"),
    ),
    Index(
        "outbox_unpublished",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    Index(
        "outbox_unpublished_run",
        "run",
        "id",
        sqlite_where=text("published_at IS NULL"),
        postgresql_where=text("published_at IS NULL"),
    ),
    Index(
        "outbox_sent",
        "published_at",
        "id",
        sqlite_where=text("published_at IS NOT NULL AND partition_no IS NULL"),
        postgresql_where=text("published_at IS NOT NULL AND partition_no IS NULL"),
    ),
    sqlite_autoincrement=True,
)
"""A row with a partition and an offset is a record of the embedded log; one without was, or will be, sent to Kafka."""

log_heads = Table(
    "log_heads",
    METADATA,
    Column("topic", ID, primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
)

log_groups = Table(
    "log_groups",
    METADATA,
    Column("name", ID, primary_key=True),
    Column("generation", BigInteger, nullable=False),
)
"""``generation`` grows whenever a member joins, leaves or is given up."""

log_members = Table(
    "log_members",
    METADATA,
    Column("group_name", ID, primary_key=True),
    Column("member", ID, primary_key=True),
    Column("session", ID, nullable=False),
    Column("topics", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", Text, nullable=False),
    Column("heard_at", INSTANT, nullable=False),
    UniqueConstraint("session", name="log_members_session"),
)
"""``session`` tells one process from the next of the same name; ``host``, ``pid`` and ``started`` find the process."""

log_positions = Table(
    "log_positions",
    METADATA,
    Column("group_name", ID, primary_key=True),
    Column("topic", ID, primary_key=True),
    Column("partition_no", Integer, primary_key=True),
    Column("committed", BigInteger, nullable=False),
    Column("owner", ID, nullable=False),
    Column("epoch", BigInteger, nullable=False),
)
"""``owner`` is a session, empty: nobody's. ``epoch`` grows whenever the owner changes."""

deliveries = Table(
    "deliveries",
    METADATA,
    Column("seq", SERIAL, primary_key=True),
    Column("source", ID, nullable=False),
    Column("id", ID, nullable=False),
    Column("event", Text, nullable=False),
    Column("repository", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("received_at", INSTANT, nullable=False),
    Column("run", ID, nullable=False),
    Column("reason", Text, nullable=False),
    Column("message", ID, nullable=False),
    Column("trigger_row", BigInteger),
    Column("sha", ID, nullable=False, server_default=""),
    Column("why", Text, nullable=False, server_default=""),
    UniqueConstraint("source", "id", name="deliveries_id"),
    Index("deliveries_sha", "sha", "seq", sqlite_where=text("sha <> ''"), postgresql_where=text("sha <> ''")),
    Index("deliveries_repository", "repository", "seq"),
    Index("deliveries_received", "received_at", "status"),
    Index(
        "deliveries_unanswered",
        "received_at",
        sqlite_where=text("status = 'published'"),
        postgresql_where=text("status = 'published'"),
    ),
)
"""``trigger_row``: the outbox row of the message it became. ``why``: JSON of `turnout.core.nothing.Nothing`."""

missed_deliveries = Table(
    "missed_deliveries",
    METADATA,
    Column("guid", ID, primary_key=True),
    Column("hook", Text, nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("at", INSTANT, nullable=False),
    Column("event", Text, nullable=False),
    Column("ok", Integer, nullable=False),
    Column("code", Integer, nullable=False),
    Column("said", Text, nullable=False),
    Column("first", INSTANT, nullable=False),
    Column("due", INSTANT, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("asked_at", INSTANT),
    Column("refused", Text, nullable=False),
    Index("missed_deliveries_first", "first"),
)
"""What GitHub lists and we have not received; see `turnout.core.ports.ledger.Missed`. Rows go when it came."""

hook_marks = Table(
    "hook_marks",
    METADATA,
    Column("hook", ID, primary_key=True),
    Column("upto", INSTANT, nullable=False),
    Column("looked_at", INSTANT, nullable=False),
    Column("due", INSTANT, nullable=False),
    Column("said", Text, nullable=False),
    Column("cursor", Text, nullable=False),
    Column("aim", INSTANT),
)
"""How far GitHub's lists of deliveries were compared with ours."""

last_account = Table(
    "last_account",
    METADATA,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at", INSTANT, nullable=False),
    Column("unaccounted", Integer, nullable=False),
    Column("under_way", Integer, nullable=False),
)
"""One row: what the sweeper found last."""

reports = Table(
    "reports",
    METADATA,
    Column("run", ID, primary_key=True),
    Column("channel", ID, primary_key=True),
    Column("fact", ID, primary_key=True),
    Column("status", Text, nullable=False),
    Column("reference", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("at", INSTANT, nullable=False),
)

launches = Table(
    "launches",
    METADATA,
    Column("attempt", ID, primary_key=True),
    Column("runtime", Text, nullable=False),
    Column("handle", Text, nullable=False),
    Column("turn", Integer, nullable=False),
    Column("until", INSTANT, nullable=False),
    Column("at", INSTANT, nullable=False),
    Index("launches_at", "at"),
)
"""Launches on platforms that take no id of ours; see `turnout.core.ports.Launch`."""

attestations = Table(
    "attestations",
    METADATA,
    Column("run", ID, primary_key=True),
    Column("attempt", ID, primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("keyid", Text, nullable=False),
    Column("payload", Text, nullable=False),
    Column("signature", Text, nullable=False),
)

attested_images = Table(
    "attested_images",
    METADATA,
    Column("digest", ID, primary_key=True),
    Column("gave", Integer, primary_key=True),
    Column("at", INSTANT, primary_key=True),
    Column("run", ID, primary_key=True),
    Column("attempt", ID, primary_key=True),
    sqlite_with_rowid=False,
)
"""The images that attestations speak of. ``gave``: 1, the attempt gave the image; 0, it was given it."""

environments = Table(
    "environments",
    METADATA,
    Column("project", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("run", ID, nullable=False),
    Column("at", INSTANT, nullable=False),
)
"""The run that deploys to it; it comes and goes with the run's state, in the same transaction."""

deployed = Table(
    "deployed",
    METADATA,
    Column("project", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("run", ID, nullable=False),
    sqlite_with_rowid=False,
)
"""The run whose deploy is there: the last one that went well and was not rolled back."""

environment_queue = Table(
    "environment_queue",
    METADATA,
    Column("project", Text, primary_key=True),
    Column("environment", Text, primary_key=True),
    Column("run", ID, primary_key=True),
    Column("created_at", INSTANT, nullable=False),
)
"""Runs that wait for it; ``created_at``: when the run was created, which is its place."""

api_tokens = Table(
    "api_tokens",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("digest", ID, nullable=False),
    Column("name", Text, nullable=False),
    Column("owner", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("projects", Text, nullable=False),
    Column("made_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT),
    Column("used_at", INSTANT),
    UniqueConstraint("digest", name="api_tokens_digest"),
)
"""``digest``: SHA-256 of the token, in hex. ``scopes``, ``projects``: separated by spaces."""

browser_sessions = Table(
    "browser_sessions",
    METADATA,
    Column("id", ID, primary_key=True),
    Column("digest", ID, nullable=False),
    Column("person", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("made_at", INSTANT, nullable=False),
    Column("seen_at", INSTANT, nullable=False),
    Column("expires_at", INSTANT, nullable=False),
    UniqueConstraint("digest", name="browser_sessions_digest"),
    Index("browser_sessions_person", "person", "made_at"),
)
"""``digest``: SHA-256 of what the cookie holds."""

used_once = Table(
    "used_once",
    METADATA,
    Column("name", ID, primary_key=True),
    Column("until", INSTANT, nullable=False),
    Index("used_once_until", "until"),
)
"""Keys that are good once: links to sign in with, signatures of Slack's requests."""

audit_log = Table(
    "audit_log",
    METADATA,
    Column("seq", SERIAL, primary_key=True),
    Column("at", INSTANT, nullable=False),
    Column("person", Text, nullable=False),
    Column("via", Text, nullable=False),
    Column("address", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("verdict", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Index("audit_log_person", "person", "seq"),
    Index("audit_log_project", "project", "seq"),
    sqlite_autoincrement=True,
)
"""Only added to: triggers refuse every change and removal."""

tallies = Table(
    "tallies",
    METADATA,
    Column("project", Text, primary_key=True),
    Column("day", ID, primary_key=True),
    Column("body", Text, nullable=False),
)
"""What runs add up to (`turnout.core.tally.Tally`), by the day (UTC) on which they ended; day empty: since ever."""

deploys = Table(
    "deploys",
    METADATA,
    Column("project", Text, primary_key=True),
    Column("at", INSTANT, primary_key=True),
    Column("run", ID, primary_key=True),
    Column("stage", Text, primary_key=True),
    Column("environment", Text, nullable=False),
    Column("began_at", INSTANT, nullable=False),
    Column("good", Integer, nullable=False),
    Column("restored_at", INSTANT),
)
"""Deploys that have ended, in order of time within a project."""
