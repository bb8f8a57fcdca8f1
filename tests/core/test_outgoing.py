from __future__ import annotations

from typing import Any

import pytest

from tests.core.building import CHANGE, START, Story, a_plan, stage
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.ids import message_id
from turnout.core.model import ChangeKind, Outcome, Runtime
from turnout.core.outgoing import Outgoing, outgoing, task_request
from turnout.core.plan import Approval, CheckoutOptions, Resources, Retries
from turnout.core.result import FailedCase
from turnout.core.result import Tests as Counts
from turnout.core.topics import AGENT_REPORT


def sign(attempt: str) -> str:
    return f"signed {attempt}"


def told(story: Story, events: tuple[e.Event, ...] | None = None) -> list[Outgoing]:
    """What the last events (all of them, where none are given) give others to do."""
    return list(outgoing(story.run, story.history if events is None else events, sign))


def facts(found: list[Outgoing]) -> list[str]:
    return [each.message.fact for each in found if isinstance(each.message, m.ReportRequested)]


def tasks(found: list[Outgoing]) -> list[m.TaskRequested]:
    return [each.message for each in found if isinstance(each.message, m.TaskRequested)]


def test_an_attempt_that_is_launched_goes_to_the_topic_of_its_agent_with_its_token() -> None:
    story = Story.of(a_plan(stage("unit", agent="test", timeout=60.0)))
    (sent,) = [each for each in told(story) if isinstance(each.message, m.TaskRequested)]
    attempt = story.attempt("unit").id
    assert (sent.topic, sent.key) == ("agent.test", attempt)
    (task,) = tasks([sent])
    assert (task.attempt, task.number, task.token) == (attempt, 1, f"signed {attempt}")
    assert (task.timeout, task.heartbeat) == (60, story.run.timing.heartbeat)


def test_what_is_sent_is_named_by_its_cause_so_that_sending_it_again_is_harmless() -> None:
    story = Story.of(a_plan(stage("unit")))
    attempt = story.attempt("unit").id
    assert task_request(story.run, attempt, sign).id == message_id("turnout.task.requested", attempt)
    assert told(story) == told(story)
    assert task_request(story.run, attempt, sign) in told(story)
    ids = [each.id for each in told(story)]
    assert len(set(ids)) == len(ids)


def test_the_task_of_an_attempt_that_there_is_not_is_refused() -> None:
    with pytest.raises(KeyError):
        task_request(Story.of(a_plan(stage("unit"))).run, "nobody", sign)


def test_a_task_says_what_its_stage_was_planned_with() -> None:
    planned = stage(
        "unit",
        cells=("3.11", "3.12"),
        options={"args": ["-q"]},
        env={"CI": "true"},
        secrets=("TOKEN",),
        environment="staging",
        runtime=Runtime.DOCKER,
        resources=Resources(cpu=2, memory=1024),
        network=True,
    )
    asked = CheckoutOptions(submodules="direct", lfs=True)
    first, second = tasks(told(Story.of(a_plan(planned, checkout=asked))))
    assert [first.task, second.task] == ["unit[3.11]", "unit[3.12]"]
    assert second.cell == {"cell": "3.12"}
    assert (
        first.to_json().items()
        >= {
            "options": {"args": ["-q"]},
            "env": {"CI": "true"},
            "secrets": ["TOKEN"],
            "environment": "staging",
            "runtime": "docker",
            "resources": {"cpu": 2, "memory": 1024},
            "network": True,
            "trusted": True,
        }.items()
    )
    assert first.checkout.to_json() == {
        "repository": CHANGE.repository,
        "clone_url": CHANGE.clone_url,
        "sha": CHANGE.sha,
        "ref": CHANGE.ref,
        "branch": "main",
        "tag": "",
        "options": {"submodules": "direct", "lfs": True, "history": False, "elsewhere": True},
    }


def test_the_code_of_a_fork_is_not_trusted() -> None:
    story = Story()
    fork = CHANGE.with_(fork=True)
    story.history.append(
        e.RunCreated(at=START, run="r1", trigger="t", project="p", change=fork, plan=a_plan(stage("unit")))
    )
    story.later(0)
    assert [task.trusted for task in tasks(told(story))] == [False]


SCAN = a_plan(stage("scan", agent="security"))


@pytest.mark.parametrize(
    ("change", "keeps"),
    [
        (CHANGE, True),
        (CHANGE.with_(kind=ChangeKind.PULL_REQUEST, branch="topic", base_branch="main"), False),
        (CHANGE.with_(kind=ChangeKind.PULL_REQUEST, branch="main", base_branch="main", fork=True), False),
        (CHANGE.with_(dirty=True), False),
    ],
)
def test_a_scan_is_compared_with_the_last_one_on_its_base_branch(change: Change, keeps: bool) -> None:
    (task,) = tasks(told(Story.of(SCAN, change=change)))
    key = "baselines/acme%2Fshop/main/scan.sarif"
    assert task.baseline == m.Baseline(key=key, branch="main", keeps=keeps)


def test_what_has_no_branch_or_finds_nothing_to_compare_is_compared_with_nothing() -> None:
    tag = CHANGE.with_(kind=ChangeKind.TAG, ref="refs/tags/v1", branch="", tag="v1")
    (task,) = tasks(told(Story.of(SCAN, change=tag)))
    assert task.baseline is None
    (other,) = tasks(told(Story.of(a_plan(stage("unit", agent="test")))))
    assert other.baseline is None


def test_a_task_gets_the_outputs_of_all_that_led_to_it() -> None:
    plan = a_plan(stage("build"), stage("scan", "build"), stage("ship", "scan"), stage("docs"))
    story = Story.of(plan)
    story.ends("docs", outputs={"site": "v1"})
    story.ends("build", outputs={"image": "shop:1"})
    sent = told(story, story.ends("scan"))
    assert [task.upstream for task in tasks(sent)] == [{"build": {"image": "shop:1"}}]


def failed(*names: str, errors: int = 0, total: int = 5, more: int = 0) -> dict[str, Any]:
    cases = tuple(FailedCase(id=name, name=name) for name in names)
    return {"tests": Counts(total=total, failed=len(names) + more, errors=errors, failed_cases=cases)}


def second_attempt(first: dict[str, Any], outcome: Outcome = Outcome.FAILURE) -> m.TaskRequested:
    story = Story.of(a_plan(stage("unit", retries=2)))
    (task,) = tasks(told(story, story.ends("unit", outcome, **first)))
    return task


def test_a_retry_knows_the_cases_that_failed_before() -> None:
    task = second_attempt(failed("a", "b"))
    assert task.number == 2
    assert [case.id for case in task.previous_failed] == ["a", "b"]
    assert task.previous_tests == Counts(total=5, failed=2)


@pytest.mark.parametrize("first", [failed("a", more=1), failed(), {}], ids=["unnamed", "none", "no tests"])
def test_where_not_every_failed_case_has_a_name_a_retry_runs_them_all(first: dict[str, Any]) -> None:
    assert second_attempt(first).previous_failed == ()


def test_a_first_attempt_knows_of_no_tests_before_it() -> None:
    (task,) = tasks(told(Story.of(a_plan(stage("unit")))))
    assert (task.previous_failed, task.previous_tests) == ((), None)


def test_a_retry_after_a_lost_attempt_still_knows_the_cases_of_the_one_before_it() -> None:
    story = Story.of(a_plan(stage("unit", retries=2)))
    story.ends("unit", Outcome.FAILURE, **failed("a"))
    (task,) = tasks(told(story, story.ends("unit", Outcome.ERROR, lost=True)))
    assert (task.number, [case.id for case in task.previous_failed]) == (3, ["a"])
    assert task.previous_tests == Counts(total=5, failed=1)


def test_people_are_told_of_every_turn_that_a_run_takes() -> None:
    plan = a_plan(stage("unit", retry=Retries(max=1)), stage("ship", "unit", approval=Approval()))
    story = Story.of(plan)
    first = story.attempt("unit").id
    story.ends("unit", Outcome.FAILURE)
    story.ends("unit")
    story.hear(m.Approve(run="r1", stage="ship", by="ada"))
    story.ends("ship")
    found = told(story)
    assert facts(found) == [
        "started",
        "running:unit",
        f"attempt:{first}",
        "stage:unit",
        "approval:ship",
        "running:ship",
        "stage:ship",
        "finished",
    ]
    reports = [each for each in found if isinstance(each.message, m.ReportRequested)]
    assert {(each.topic, each.key) for each in reports} == {(AGENT_REPORT, "r1")}


def test_a_report_says_which_version_of_the_run_holds_its_fact() -> None:
    story = Story.of(a_plan(stage("unit")))
    for each in told(story, story.ends("unit")):
        assert isinstance(each.message, m.ReportRequested)
        event = story.history[each.message.version - 1]
        assert event.kind == {"stage:unit": "stage_finished", "finished": "run_finished"}[each.message.fact]


def test_an_approval_is_told_of_where_it_is_not_the_last_one() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval(required=2))))
    assert facts(told(story, story.hear(m.Approve(run="r1", stage="ship", by="ada")))) == [
        "approved:ship:ada"
    ]
    assert "running:ship" in facts(told(story, story.hear(m.Approve(run="r1", stage="ship", by="bob"))))


def test_a_rejected_stage_is_reported_as_ended() -> None:
    story = Story.of(a_plan(stage("ship", approval=Approval())))
    assert facts(told(story, story.hear(m.Reject(run="r1", stage="ship", by="eve")))) == [
        "stage:ship",
        "finished",
    ]


def test_an_attempt_that_is_told_to_stop_hears_it_over_its_own_topic_and_key() -> None:
    story = Story.of(a_plan(stage("unit", agent="test")))
    (sent,) = told(story, story.hear(m.CancelRun(run="r1", by="ada", reason="wrong branch")))
    assert (sent.topic, sent.key) == ("agent.test", story.attempt("unit").id)
    assert isinstance(sent.message, m.CancelTask)
    assert sent.message.reason == "wrong branch"


def test_an_attempt_that_was_given_up_is_told_to_stop_and_one_that_ended_itself_is_not() -> None:
    story = Story.of(a_plan(stage("unit"), infrastructure_retries=0))
    gave_up = [type(each.message) for each in told(story, story.later(901))]
    assert m.CancelTask in gave_up
    ended = Story.of(a_plan(stage("unit")))
    assert m.CancelTask not in [type(each.message) for each in told(ended, ended.ends("unit"))]


def test_what_changed_nothing_gives_nobody_anything_to_do() -> None:
    story = Story.of(a_plan(stage("unit"), stage("ship", "unit", skip="when.branch")))
    assert told(story, story.starts("unit")) == []
    assert told(story, story.starts("unit")) == []
