"""Two versions of Turnout on one store: each reads what the other has written, and decides on what it knows alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import TypeAdapter
from sqlalchemy import text

from tests.contracts.store_runs import Story, at, run_finished
from tests.test_orchestration import FakeClock
from turnout.adapters.store import folded
from turnout.adapters.store.figures import SqlFigures
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core import events as e
from turnout.core.errors import Newer, TransientError
from turnout.core.facts import facts_of
from turnout.core.messages import CancelRun, RunRequested, wrap
from turnout.core.model import Outcome
from turnout.core.run import Run
from turnout.orchestration import Orchestrator, Planned

ELSEWHERE = (folded.FORM, "other")
"""What makes a state one that another version has folded."""


@pytest.fixture
def other(sqlite_database: str) -> Iterator[SqlStore]:
    """Another process's, on the same database as `sqlite_store`."""
    opened = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
    yield opened
    opened.close()


def rewrite(store: SqlStore, table: str, column: str, *swaps: tuple[str, str]) -> None:
    """What is in rows, as another version would have written it."""
    with store.database.write() as connection:
        for was, now in swaps:
            statement = (
                f"UPDATE {table} SET {column} = replace({column}, :was, :now) WHERE instr({column}, :was)"
            )
            assert connection.execute(text(statement), {"was": was, "now": now}).rowcount > 0, was


def nobody_plans(_asked: RunRequested) -> Planned:
    raise AssertionError("no run is asked for")


def run_of(store: SqlStore, run: str) -> Run:
    found = store.load(run)
    assert found is not None
    return found


def fields(schema: Any) -> Any:
    """A schema without what is said about it to people."""
    if isinstance(schema, dict):
        kept = {
            name: fields(each)
            for name, each in schema.items()
            if not isinstance(each, str) or name != "description"
        }
        return {name: each for name, each in kept.items() if name != "title" or not isinstance(each, str)}
    return [fields(each) for each in schema] if isinstance(schema, list) else schema


def test_the_form_of_states_changes_with_the_fields_of_events_and_states() -> None:
    adapters: list[TypeAdapter[Any]] = [TypeAdapter(e.Event), TypeAdapter(Run)]
    schemas = [fields(each.json_schema()) for each in adapters]
    now = hashlib.sha256(json.dumps(schemas, sort_keys=True).encode()).hexdigest()[:12]
    assert folded.FORM[:12] == now, (
        "set FORM in turnout/adapters/store/folded.py to this; docs/upgrades.md says why"
    )


def test_a_field_that_an_older_version_lost_from_the_state_is_found_in_the_events(
    sqlite_store: SqlStore, other: SqlStore
) -> None:
    story = Story(sqlite_store, "a")
    story.begin()
    rewrite(sqlite_store, "runs", "state", ELSEWHERE, (f'"trigger":"{story.state.trigger}"', '"trigger":""'))
    assert run_of(other, story.id) == story.state


def test_what_a_newer_version_keeps_besides_is_passed_over_and_stays_in_the_events(
    sqlite_store: SqlStore, other: SqlStore
) -> None:
    story = Story(sqlite_store, "a")
    story.begin()
    rewrite(sqlite_store, "events", "body", ('"run":', '"wish":[1],"run":'))
    rewrite(sqlite_store, "runs", "state", ELSEWHERE, ('"project":', '"wish":{"x":1},"project":'))
    assert run_of(other, story.id) == story.state
    assert len(other.events(story.id)) == 1
    with other.database.read() as connection:
        assert '"wish":[1]' in str(connection.execute(text("SELECT body FROM events")).scalar())
    story.store, story.run = other, run_of(other, story.id)
    story.tell(run_finished())
    assert run_of(sqlite_store, story.id) == story.state


def test_nothing_is_decided_on_a_run_with_an_event_that_this_version_does_not_know(
    sqlite_store: SqlStore, other: SqlStore
) -> None:
    story = Story(sqlite_store, "a")
    story.begin()
    story.tell(run_finished())
    rewrite(sqlite_store, "events", "body", ("run_finished", "run_mended"))
    rewrite(sqlite_store, "runs", "state", ELSEWHERE, ('"finished"', '"mended"'))
    with pytest.raises(Newer, match="no event 'run_mended'") as caught:
        other.load(story.id)
    assert isinstance(caught.value, TransientError), "it is to come again, to a version that knows it"
    assert SqlFigures(other.database).uncounted() == [], (
        "left to a newer version, and no other run waits for it"
    )


def test_a_tally_of_a_newer_version_is_read_but_not_added_to(sqlite_store: SqlStore) -> None:
    story, figures = Story(sqlite_store, "a"), SqlFigures(sqlite_store.database)
    story.begin()
    story.tell(run_finished())
    facts = [facts_of(story.state)]
    figures.count(facts, at(20))
    rewrite(sqlite_store, "tallies", "body", ('{"runs"', '{"wishes":3,"runs"'))
    assert figures.totals()[story.state.project].runs == {"success": 1}
    with sqlite_store.database.write() as connection:
        connection.execute(text("UPDATE runs SET counted_at = NULL"))
    with pytest.raises(Newer, match="counts what this one does not know"):
        figures.count(facts, at(21))
    assert len(figures.uncounted()) == 1


def test_a_message_about_such_a_run_comes_again_and_the_sweep_goes_on_with_the_others(
    sqlite_store: SqlStore, other: SqlStore
) -> None:
    mended, plain = Story(sqlite_store, "a"), Story(sqlite_store, "b")
    mended.begin(due_at=at(1))
    plain.begin(due_at=at(2))
    mended.tell(e.RunHalted(at=at(0), stage="unit", outcome=Outcome.FAILURE, reason="r"), due_at=at(1))
    rewrite(sqlite_store, "events", "body", ("run_halted", "run_mended"))
    rewrite(sqlite_store, "runs", "state", ELSEWHERE)
    orchestrator = Orchestrator(other, None, nobody_plans, FakeClock(at(60)), b"key")
    message = wrap(CancelRun(run=mended.id, by="ada"), id="m1", source="/test", at=at(2))
    with pytest.raises(Newer):
        orchestrator.handle(message)
    assert not other.seen("m1")
    with pytest.raises(Newer):
        orchestrator.sweep()
    assert run_of(other, plain.id).version > plain.state.version
