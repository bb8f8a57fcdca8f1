"""The launcher, the reporter and the sweeper."""

from __future__ import annotations

import pytest

from tests.core.building import CHANGE, START, a_plan, stage
from tests.functions.serving import Site
from turnout.core import messages as m
from turnout.core.envelope import Envelope
from turnout.core.events import RunCreated
from turnout.core.evolve import evolve
from turnout.core.model import Outcome
from turnout.core.outgoing import task_request
from turnout.core.ports import Commit
from turnout.core.run import Run


@pytest.fixture(scope="module", autouse=True)
def started(site: Site) -> None:
    site.start("launcher", "reporter", "sweeper")


def recorded(site: Site, id: str) -> Run:
    """A run in the store, as the orchestrator would have left it."""
    created = RunCreated(
        at=START, run=id, trigger=id, project="acme/shop", change=CHANGE, plan=a_plan(stage("unit"))
    )
    run = evolve(None, created)
    site.wiring.store.commit(Commit(run, 0, (created,), (), START))
    return run


def wrapped(message: m.Message, id: str = "m1") -> Envelope:
    return m.wrap(message, id=id, source="/test", at=START)


def fact(run: Run, *, version: int = 1, fact: str = "started") -> m.ReportRequested:
    return m.ReportRequested(run=run.id, version=version, fact=fact, project=run.project)


def test_the_reporter_records_at_the_end_of_a_run_why_nobody_was_told_of_it(site: Site) -> None:
    run = recorded(site, "told")
    for what in ("started", "finished", "finished"):
        assert site["reporter"].hand(wrapped(fact(run, fact=what))).status == 200
    rows = {name: site.wiring.store.find_report(run.id, name, "finished") for name in ("slack", "email")}
    assert {name: row and (row.status, row.reference) for name, row in rows.items()} == {
        "slack": ("skipped", "set TURNOUT_SLACK_TOKEN"),
        "email": ("skipped", "set TURNOUT_SMTP_URL"),
    }


def test_the_reporter_asks_for_a_fact_again_that_the_store_does_not_have_yet(site: Site) -> None:
    run = recorded(site, "early")
    answer = site["reporter"].hand(wrapped(fact(run, version=9)))
    assert answer.status == 503
    assert answer.text == "run early is at version 1, before 9\n"


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (m.ReportRequested(run="nobody", version=1, fact="started", project="p"), "no run nobody"),
        (m.CancelRun(run="r1", by="ada"), "type: turnout.run.cancel is no message for the reporter"),
    ],
)
def test_the_reporter_refuses_what_it_can_never_tell(site: Site, message: m.Message, reason: str) -> None:
    answer = site["reporter"].hand(wrapped(message))
    assert answer.status == 422
    assert answer.text.startswith(reason)


def test_the_launcher_leaves_tasks_to_resident_agents_where_it_has_no_runtime(site: Site) -> None:
    from tests.core.building import Story

    story = Story.of(a_plan(stage("unit")))
    task = task_request(story.run, story.attempt("unit").id, lambda _: "token").message
    cancel = m.CancelTask(run="r1", task="unit", agent="script", attempt="a1", reason="halted")
    for message in (task, cancel):
        assert site["launcher"].hand(wrapped(message)).status == 200


def test_the_launcher_refuses_what_is_not_for_it(site: Site) -> None:
    answer = site["launcher"].hand(wrapped(m.CancelRun(run="r1", by="ada")))
    assert answer.status == 422
    assert answer.text == "type: turnout.run.cancel is no message for the launcher\n"


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_sweeper_says_what_it_did(site: Site, method: str) -> None:
    answer = site["sweeper"].send(method)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert sorted(answer.json) == ["counted", "done", "pruned", "redelivered", "resent", "scheduled"]
    assert all(isinstance(count, int) for count in answer.json.values())


def test_the_sweeper_finds_what_is_overdue(site: Site) -> None:
    """The run is of the year 2026's first day, and nothing of it has been launched: its due time has passed."""
    created = RunCreated(
        at=START,
        run="overdue",
        trigger="overdue",
        project="acme/shop",
        change=CHANGE,
        plan=a_plan(stage("unit")),
    )
    run = evolve(None, created)
    site.wiring.store.commit(Commit(run, 0, (created,), (), START, due_at=START))
    assert site["sweeper"].send().json["done"] >= 1
    after = site.wiring.store.load("overdue")
    assert after is not None
    assert [task.id for _, task in after.tasks() if task.active] == ["unit"]
    assert after.outcome is not Outcome.SUCCESS
