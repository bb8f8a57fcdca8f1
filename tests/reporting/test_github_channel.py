"""GitHub's channel against the stand-in for GitHub, over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.github.hub import Fault, Hub
from local.github.stand_in import StandIn
from tests.core.building import START, a_plan, stage
from tests.github_app import app_key
from tests.reporting.telling import CHANGE, LINTED, PROBLEM, TWO_FAILED, Desk, ends, passes, pipeline, told
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import AppAuth, TokenAuth
from turnout.adapters.github_hub import GitHubHub
from turnout.adapters.system_clock import SystemClock
from turnout.core import messages as m
from turnout.core.errors import TransientError
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Approval
from turnout.core.result import Finding, Findings, Result
from turnout.reporting.github_channel import GitHubChannel
from turnout.reporting.ledger import LEASE, SKIPPED

PULL = CHANGE.with_(kind=ChangeKind.PULL_REQUEST, number=7, base_branch="main", branch="fix")


@pytest.fixture
def key() -> str:
    return app_key()


class Rig:
    """``app``: whether we are an App, or have a token alone."""

    def __init__(self, running: StandIn, key: str) -> None:
        self.hub: Hub = running.hub
        self.url = running.url
        self.key = key
        self._made: list[GitHubApi] = []
        self.desk = Desk((self.channel(),))

    def channel(self, app: bool = True) -> GitHubChannel:
        auth = AppAuth("12", self.key, SystemClock()) if app else TokenAuth("ghp_plain")
        api = GitHubApi(auth, SystemClock(), base_url=self.url)
        self._made.append(api)
        return GitHubChannel(lambda _: GitHubHub(api), "https://console.example.org")

    def as_token(self) -> None:
        self.desk.channels = (self.channel(app=False),)

    def restart(self) -> None:
        """A new process: nothing is remembered but what the store holds."""
        self.desk.channels = (self.channel(),)
        self.desk.clock.forward(LEASE.total_seconds() + 1)

    def close(self) -> None:
        for each in self._made:
            each.close()

    @property
    def checks(self) -> dict[str, str]:
        return {
            each["name"]: str(each.get("conclusion") or each["status"]) for each in self.hub.checks.values()
        }

    @property
    def comments(self) -> list[str]:
        return [each["body"] for each in self.hub.comments.values()]

    def writes(self) -> int:
        return sum(
            call.method in ("POST", "PATCH") and "access_tokens" not in call.path for call in self.hub.calls
        )


@pytest.fixture
def rig(key: str) -> Iterator[Rig]:
    with StandIn() as running:
        made = Rig(running, key)
        yield made
        made.close()


def test_a_run_has_one_check_and_one_a_stage_which_follow_it(rig: Rig) -> None:
    story = told(pipeline())
    rig.desk.report(story, "started")
    assert rig.checks == {
        "turnout": "in_progress",
        "turnout / lint": "in_progress",
        "turnout / test": "queued",
        "turnout / script": "queued",
    }
    passes(story, "lint")
    ends(story, "test", TWO_FAILED)
    rig.desk.report(story, "attempt:1")
    assert rig.checks["turnout / test"] == "in_progress"
    ends(story, "test", TWO_FAILED)
    rig.desk.report(story, "finished")
    assert rig.checks == {
        "turnout": "failure",
        "turnout / lint": "success",
        "turnout / test": "failure",
        "turnout / script": "skipped",
    }
    whole = next(each for each in rig.hub.checks.values() if each["name"] == "turnout")
    assert "test_total" in whole["output"]["summary"]
    assert story.run.plan is not None
    assert story.run.plan.digest[:12] in whole["output"]["summary"]
    assert whole["details_url"] == f"https://console.example.org/runs/{story.run.id}"


def test_what_has_not_changed_is_not_sent_again(rig: Rig) -> None:
    story = passes(told(pipeline()), "lint")
    rig.desk.report(story, "stage:lint")
    before = rig.writes()
    rig.desk.again(story.run, "started", 1)
    rig.desk.again(story.run, "stage:lint", story.run.version)
    assert rig.writes() == before
    passes(story, "test")
    rig.desk.report(story, "stage:test")
    changed = {call.path for call in rig.hub.calls[-10:] if call.method == "PATCH"}
    assert len(changed) == 3, "the whole, test, and script that begins; lint is as it was"


def test_findings_are_annotations_in_batches_each_once(rig: Rig) -> None:
    named = tuple(
        Finding(rule=f"E{n}", severity="high", message="no", path="src/a.py", line=n) for n in range(1, 51)
    )
    found = Result(outcome=Outcome.FAILURE, findings=Findings(counts={"high": 50}, named=named))
    plan = a_plan(stage("lint", agent="lint", cells=("a", "b"), fail_fast=False))
    story = told(plan)
    for task in sorted(story.run.stages["lint"].tasks):
        ends(story, task, found)
    rig.desk.report(story, "finished")
    check = next(each for each in rig.hub.checks.values() if each["name"] == "turnout / lint")
    assert len(check["annotations"]) == 100
    rig.restart()
    rig.desk.again(story.run, "finished", story.run.version)
    assert len(check["annotations"]) == 100


def test_an_annotation_whose_answer_was_lost_is_not_added_twice(rig: Rig) -> None:
    story = ends(told(a_plan(stage("lint", agent="lint"))), "lint", LINTED)
    rig.hub.faults.append(Fault(r"PATCH .*/check-runs/\d+", 0, done=True))
    with pytest.raises(TransientError):
        rig.desk.report(story, "finished")
    rig.restart()
    rig.desk.report(story, "finished")
    check = next(each for each in rig.hub.checks.values() if each["name"] == "turnout / lint")
    assert [each["path"] for each in check["annotations"]] == ["shop/cart.py"]


@pytest.mark.parametrize("done", [True, False], ids=["answer-lost", "call-lost"])
@pytest.mark.parametrize("status", [0, 500, 429])
def test_whatever_is_lost_there_is_one_check_of_each_name(rig: Rig, done: bool, status: int) -> None:
    story = told(pipeline())
    rig.hub.faults.append(Fault(r"POST .*/check-runs$", status, done=done))
    with pytest.raises(TransientError):
        rig.desk.report(story, "started")
    rig.restart()
    rig.desk.report(story, "started")
    assert len(rig.hub.checks) == 4


def test_a_broken_pipeline_file_is_annotated_where_it_is_wrong(rig: Rig) -> None:
    rig.desk.report(told(None, problems=(PROBLEM,), reason="1 problem"), "finished")
    (check,) = rig.hub.checks.values()
    assert check["conclusion"] == "failure"
    assert [(each["path"], each["start_line"]) for each in check["annotations"]] == [("pipeline.yml", 7)]


def test_a_token_says_commit_statuses_each_state_once(rig: Rig) -> None:
    rig.as_token()
    story = told(pipeline())
    rig.desk.report(story, "started")
    passes(story, "lint")
    rig.desk.report(story, "stage:lint")
    rig.desk.again(story.run, "stage:lint", story.run.version)
    said = [(each["context"], each["state"]) for each in rig.hub.statuses]
    assert not rig.hub.checks
    assert said.count(("turnout / lint", "pending")) == said.count(("turnout / lint", "success")) == 1
    newest = {each["context"]: each["state"] for each in rig.hub.statuses}
    assert newest["turnout / lint"] == "success"
    assert newest["turnout"] == "pending"


def test_a_status_whose_answer_was_lost_is_found_and_not_said_twice(rig: Rig) -> None:
    rig.as_token()
    story = told(a_plan(stage("only")))
    rig.hub.faults.append(Fault("POST .*/statuses/", 0, done=True))
    with pytest.raises(TransientError):
        rig.desk.report(story, "started")
    rig.desk.clock.forward(LEASE.total_seconds() + 1)
    rig.desk.report(story, "started")
    assert [each["context"] for each in rig.hub.statuses] == ["turnout", "turnout / only"]


def test_a_pull_request_has_one_comment_brought_up_to_date(rig: Rig) -> None:
    story = told(pipeline(), change=PULL)
    rig.desk.report(story, "started")
    assert rig.comments == [], "a comment calls people: not before there is something to read"
    ends(story, "lint", LINTED)
    rig.desk.report(story, "finished")
    assert len(rig.comments) == 1
    assert "undefined name" in rig.comments[0]
    again = told(
        pipeline(),
        change=PULL.with_(sha="b" * 40),
        run=f"1c{story.run.id[2:]}",
        at=START + timedelta(minutes=5),
    )
    passes(again, "lint", "test", "script")
    rig.desk.report(again, "finished")
    assert len(rig.comments) == 1
    assert "recovered" in rig.comments[0]
    rig.desk.again(story.run, "late", story.run.version)
    assert "recovered" in rig.comments[0], "an older run does not take the word from a newer one"


def test_a_comment_that_somebody_deleted_is_left_deleted(rig: Rig) -> None:
    story = ends(told(pipeline(), change=PULL), "lint", LINTED)
    rig.desk.report(story, "stage:lint")
    rig.hub.comments.clear()
    rig.desk.again(story.run, "finished", story.run.version)
    assert rig.comments == []


def test_a_deploy_is_a_deployment_with_its_states(rig: Rig) -> None:
    plan = a_plan(stage("ship", agent="deploy", environment="staging"))
    story = told(plan)
    rig.desk.report(story, "running:ship")
    (made,) = rig.hub.deployments.values()
    assert (made["environment"], made["ref"], made["required_contexts"]) == ("staging", CHANGE.sha, [])
    passes(story, "ship")
    rig.desk.report(story, "finished")
    assert [each["state"] for each in rig.hub.deployed] == ["in_progress", "success"]
    assert len(rig.hub.deployments) == 1


def test_an_approval_is_asked_for_in_the_pull_request(rig: Rig) -> None:
    story = told(a_plan(stage("ship", approval=Approval(by=("@acme/release",)))), change=PULL)
    rig.desk.report(story, "approval:ship")
    assert "waits for approval by `@acme/release`" in rig.comments[0]
    story.hear(m.Approve(run=story.run.id, stage="ship", by="ada", teams=("@acme/release",)))
    passes(story, "ship")
    rig.desk.report(story, "finished")
    assert "waits for approval" not in rig.comments[0]


def test_what_a_repository_is_called_by_others_calls_nobody(rig: Rig) -> None:
    nasty = Result(
        outcome=Outcome.FAILURE, summary="@acme/everyone | <img src=x> #12 `code` [a](http://x.example)"
    )
    story = ends(told(a_plan(stage("lint")), change=PULL), "lint", nasty)
    rig.desk.report(story, "finished")
    body = rig.comments[0]
    assert "@acme" not in body
    assert "<img" not in body.replace("\\<img", "")
    assert " #12" not in body
    assert "[a](http" not in body


def test_a_run_of_another_host_is_not_told_and_that_is_recorded(rig: Rig) -> None:
    rig.desk.channels = (GitHubChannel(lambda _: "the project is not on GitHub"),)
    story = passes(told(a_plan(stage("only"))), "only")
    rig.desk.report(story, "finished")
    row = rig.desk.store.find_report(story.run.id, "github", "finished")
    assert row is not None
    assert (row.status, row.reference) == (SKIPPED, "the project is not on GitHub")


def test_times_are_said_as_github_wants_them(rig: Rig) -> None:
    story = passes(told(a_plan(stage("only"))), "only")
    rig.desk.report(story, "finished")
    check: dict[str, Any] = next(each for each in rig.hub.checks.values() if each["name"] == "turnout / only")
    began, ended = (datetime.fromisoformat(check[name]) for name in ("started_at", "completed_at"))
    assert began.tzinfo == ended.tzinfo == UTC
    assert ended > began
