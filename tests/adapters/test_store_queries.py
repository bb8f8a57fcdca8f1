"""No query of the store or of the log walks through history: an index, or a few last rows, answers each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from itertools import product
from typing import Any
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Engine, event, text

from tests.contracts.store_runs import Story, a_delivery, a_record, at, attempt_of
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.database import Database
from turnout.adapters.store.link import Statement
from turnout.adapters.store.postgresql import PostgresLink
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.adapters.store.sqlite import SqliteLink
from turnout.core.environments import Turns
from turnout.core.ports import Commit, Position, ReportRow, RunFilter
from turnout.core.topics import AGENT_REPORT, PIPELINE_EVENTS

SMALL = ("log_heads", "log_positions", "log_groups", "log_members")
"""Tables that do not grow with history: one row a partition, a group or a member."""


@contextmanager
def recorded() -> Iterator[dict[str, Any]]:
    """Every statement that is executed meanwhile, by any engine or link, with one set of its parameters."""
    seen: dict[str, Any] = {}

    def watched(kind: type[SqliteLink] | type[PostgresLink]) -> Any:
        send = kind.send

        def watching(self: Any, statement: Statement, values: Any) -> Any:
            said = statement.sqlite if self.dialect == "sqlite" else statement.postgresql
            if said.split(None, 1)[0] in ("SELECT", "UPDATE", "DELETE"):
                seen[said] = values
            return send(self, statement, values)

        return patch.object(kind, "send", watching)

    def remember(
        _connection: Connection, _cursor: Any, statement: str, given: Any, _context: Any, many: bool
    ) -> None:
        if statement.split(None, 1)[0] in ("SELECT", "UPDATE", "DELETE"):
            seen[statement] = given[0] if many else given

    event.listen(Engine, "before_cursor_execute", remember)
    try:
        with watched(SqliteLink), watched(PostgresLink):
            yield seen
    finally:
        event.remove(Engine, "before_cursor_execute", remember)


def use_everything(store: SqlStore, bus: EmbeddedBus) -> None:
    story, attempt = Story(store, group="main"), attempt_of("one")
    story.begin(inbox="m1", records=[a_record()], due_at=at(5))
    story.launch()
    story.start(at(30))
    store.seen("m1")
    store.load(story.id)
    store.unpublished()
    store.unpublished(story.id)
    store.unpublished(older_than=at(9))
    store.mark_published([1], at(9))
    store.heartbeat(attempt, at(3), at(33))
    store.last_heard([attempt])
    store.due(at(50))
    store.next_due()
    store.group_runs("acme/shop", "main")
    store.previous_outcome("acme/shop", "main", story.id)
    store.unfinished_launches(at(50))
    store.unanswered(at(50))
    for turns in (Turns(taken=("live",), queued=("test",)), Turns(given=("live",), unqueued=("test",))):
        store.commit(Commit(story.run, story.state.version, (), (), at(3), turns=turns))
    store.environments("acme/shop", ["live", "test"])
    store.open_attempts()
    store.open_attempts(after=(story.id, attempt))
    store.attestations(story.id)
    store.attestations_of("sha256:a", gave=True)
    store.events(story.id)
    for asked in product(*((value, "") for value in ("finished", "acme/shop", "main", "success", "ada"))):
        status, project, branch, outcome, person = asked
        for before in ("", story.id):
            store.runs(RunFilter(project, branch, outcome, status, person), before=before)
    store.runs(RunFilter(status="running"))
    for wanted in ("latest", "12", "acme/shop#12", "abc"):
        store.find_runs(wanted)
    store.attempts(story.id)
    store.receive(a_delivery())
    store.receive(a_delivery())
    store.update_delivery(a_delivery(status="ignored"))
    store.deliveries()
    store.deliveries(repository="acme/shop")
    store.commit(Commit(None, 0, (), (a_record(),), at(0), delivery=a_delivery("d2", "published")))
    store.unanswered(at(50))
    report = ReportRow("r1", "slack", "finished", "sending", "", 1, at(0))
    store.reserve_report(report)
    store.reserve_report(report)
    store.record_report(report)
    store.find_report("r1", "slack", "finished")
    consumer = bus.consumer("group", [AGENT_REPORT, PIPELINE_EVENTS])
    bus.producer().publish([a_record()])
    found = consumer.poll(1)
    consumer.commit([Position(AGENT_REPORT, found[0].partition, 1)])
    bus.lag("group", [AGENT_REPORT])
    bus.tail([AGENT_REPORT], from_start=True).close()
    consumer.close()
    store.prune(at(0) + timedelta(days=60))


def statements(url: str) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    for embedded in (True, False):
        store = open_store(url, embedded=embedded)
        try:
            with recorded() as seen:
                if embedded:
                    use_everything(store, EmbeddedBus(store.database, clock=lambda: at(0).timestamp()))
                else:
                    story = Story(store, "two")
                    rows = story.begin(records=[a_record()])
                    store.mark_published([rows[0].id], at(0))
                    store.prune(at(0) + timedelta(days=60))
            found |= seen
        finally:
            store.close()
    return {statement: given for statement, given in found.items() if "alembic" not in statement}


def test_every_query_in_sqlite_is_answered_from_an_index(sqlite_database: str) -> None:
    found = statements(sqlite_database)
    assert len(found) > 50
    walks = []
    database = Database(sqlite_database)
    with database.read() as connection:
        for statement, given in found.items():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
            for step in [row.detail for row in plan]:
                newest_first = step == "SCAN runs" and "ORDER BY runs.seq DESC\n LIMIT" in statement
                newest_first |= (
                    step == "SCAN deliveries" and "ORDER BY deliveries.seq DESC\n LIMIT" in statement
                )
                small = any(
                    f" {table}" in step or step.startswith(("SCAN g", "SCAN h", "SCAN p")) for table in SMALL
                )
                of_one_run = "attempts.run = ?" in statement
                open_only = "INDEX runs_open" in step or "INDEX outbox_unpublished" in step
                sorts = "TEMP B-TREE FOR ORDER BY" in step and not of_one_run and "log_" not in statement
                small |= "json_each" in step  # the values that were asked for
                if (step.startswith("SCAN") and not (newest_first or small or open_only)) or sorts:
                    walks.append(f"{step}: {statement}")
    database.close()
    assert not walks, "\n".join(walks)


def test_every_query_in_postgresql_can_be_answered_from_an_index(postgres_tables: str) -> None:
    found = statements(postgres_tables)
    assert len(found) > 50
    walks = []
    database = Database(postgres_tables)
    with database.write() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        for statement, given in found.items():
            if "pg_" in statement or "FROM log_" in statement or "UPDATE log_" in statement:
                continue
            plan = [row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", given)]
            walks += [f"{step.strip()}: {statement}" for step in plan if "Seq Scan" in step]
    database.close()
    assert not walks, "\n".join(walks)


@pytest.mark.parametrize(
    ("ask", "index"),
    [
        (RunFilter(project="p"), "runs_project"),
        (RunFilter(branch="b"), "runs_branch"),
        (RunFilter(person="a"), "runs_author"),
        (RunFilter(outcome="failure"), "runs_outcome"),
        (RunFilter(project="p", branch="b"), "runs_project_branch"),
        (RunFilter(project="p", person="a"), "runs_project_author"),
        (RunFilter(project="p", outcome="failure"), "runs_project_outcome"),
        (RunFilter(project="p", outcome="failure", status="finished"), "runs_project_outcome"),
        (RunFilter(project="p", status="finished"), "runs_project"),
        (RunFilter(status="running"), "runs_open"),
        (RunFilter(status="running", project="p"), "runs_open"),
    ],
)
def test_lists_of_runs_use_the_index_made_for_them(sqlite_database: str, ask: RunFilter, index: str) -> None:
    store = open_store(sqlite_database, embedded=False)
    with recorded() as seen:
        store.runs(ask)
    (statement, given) = next(iter(seen.items()))
    with store.database.read() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", given)
        assert [row.detail.split("USING INDEX ")[1].split()[0] for row in plan] == [index]
    store.close()
