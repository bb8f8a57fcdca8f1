"""What GitHub's check says of a run: its figures beside those of the base branch, and what it would change."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.core.building import START, Story, a_plan, stage
from tests.reporting.telling import CHANGE, Desk, ends, told
from turnout.core.difference import Difference, PlanDifference
from turnout.core.model import ChangeKind, Outcome
from turnout.core.proposal import Proposal
from turnout.core.result import Findings, Result
from turnout.core.result import Tests as Counts
from turnout.reporting.figures import NO_BASE, Base, base_of
from turnout.reporting.github_text import checks, comment, summary
from turnout.reporting.view import look

PULL = CHANGE.with_(kind=ChangeKind.PULL_REQUEST, number=7, base_branch="main", branch="fix")
PLAN = a_plan(stage("unit", agent="test"), stage("scan", "unit", agent="security"))


def ran(coverage: float | None = None, failed: int = 0, **more: Any) -> Result:
    tests = Counts(total=12, passed=12 - failed, failed=failed, coverage=coverage, **more)
    return Result(outcome=Outcome.FAILURE if failed else Outcome.SUCCESS, summary="ran", tests=tests)


def scanned(new: dict[str, int] | None, **counts: int) -> Result:
    found = Findings(counts=counts, new=new, ignored=2)
    return Result(outcome=Outcome.SUCCESS, summary="scanned", findings=found)


def shown(story: Story, base: Base = NO_BASE) -> str:
    return summary(story.run, look(story.run), base)


def test_the_summary_begins_with_tests_coverage_and_findings_of_the_whole_run() -> None:
    story = ends(ends(told(PLAN), "unit", ran(81.25)), "scan", scanned({"low": 1}, high=1, low=3))
    first = shown(story, Base("main", {"unit": 80.0})).splitlines()[0]
    assert first == (
        "12 tests, 12 passed · coverage 81.2 % (+1.2 against `main`) · findings: 1 high, 3 low \\(new: 1 low\\)"
    )


def test_each_stage_says_its_own_figures_and_how_long_it_took() -> None:
    story = ends(ends(told(PLAN), "unit", ran(81.25, flaky=("a", "b"))), "scan", scanned(None))
    whole = shown(story)
    assert "- `unit`: 12 tests, 12 passed, 2 flaky, 81.2 % of lines covered" in whole
    assert "- `scan`: findings: none, 2 ignored" in whole
    assert "**2 flaky tests**" in whole
    assert "| ✅ | `unit` | ran | 3.0 s |" in whole
    assert story.run.plan is not None
    assert f"plan `{story.run.plan.digest[:12]}`" in whole
    by_name = {each.name: each.summary for each in checks(story.run, look(story.run))}
    assert "12 tests, 12 passed, 2 flaky" in by_name["turnout / unit"]


@pytest.mark.parametrize(
    ("before", "said"),
    [(80.0, "+1.2"), (82.0, "-0.8"), (81.26, "±0"), (None, "81.2 % of lines covered")],
)
def test_coverage_is_told_with_its_change(before: float | None, said: str) -> None:
    story = ends(told(PLAN), "unit", ran(81.25))
    assert said in shown(story, Base("main", {"unit": before} if before is not None else {}))


def test_a_run_that_has_counted_nothing_says_no_figures() -> None:
    assert shown(told(PLAN)).startswith("| ")


def finished(desk: Desk, run: str, after: int, result: Result, **change: Any) -> Story:
    plan = a_plan(stage("unit", agent="test"))
    at = START + timedelta(hours=after)
    story = ends(told(plan, change=CHANGE.with_(**change), run=run, at=at), "unit", result)
    desk.put(story)
    return story


def test_the_newest_run_before_on_the_base_branch_that_measured_is_what_counts() -> None:
    desk = Desk(())
    finished(desk, "r1", 1, ran(70.0))
    finished(desk, "r2", 2, ran(75.0))
    finished(desk, "r3", 3, ran())
    finished(desk, "r4", 4, ran(10.0), kind=ChangeKind.PULL_REQUEST, base_branch="x", number=3)
    finished(desk, "r5", 5, ran(20.0), branch="other")
    ours = finished(
        desk, "r6", 6, ran(80.0), **PULL.model_dump(include={"kind", "number", "base_branch", "branch"})
    )
    finished(desk, "r7", 7, ran(99.0))
    assert base_of(ours.run, desk.store) == Base("main", {"unit": 75.0})
    assert base_of(finished(desk, "r8", 8, ran(), branch="main").run, desk.store) == NO_BASE


def test_checks_of_stages_lead_to_their_place_in_the_console() -> None:
    story = told(a_plan(stage("unit.3", agent="test")))
    (whole, unit) = checks(story.run, look(story.run, console="https://console.example.org/"))
    assert whole.url == f"https://console.example.org/runs/{story.run.id}"
    assert unit.url == f"{whole.url}/stages/unit.3"


LOST = Difference(what="changed", stage="ship", field="approval", old="1 by @ada", weakens=True)
PROPOSAL = Proposal(
    file="pipeline.yml",
    here=PlanDifference(differences=(Difference(what="added", stage="unit"),)),
    merged=PlanDifference(differences=(LOST,)),
    triggers=("- on.push: {}", '+ on.push: {"branches": ["main"]}'),
    replayed="2 of 3 recorded changes of shop would go otherwise.",
    looked=3,
    differing=2,
    weaker=2,
)


@pytest.mark.parametrize("fork", [False, True])
def test_what_a_pull_request_would_change_of_the_pipeline_is_in_its_check_and_comment(fork: bool) -> None:
    story = told(PLAN, change=PULL.with_(fork=fork), proposal=PROPOSAL)
    view = look(story.run)
    for said in (checks(story.run, view)[0].summary, comment(story.run, view)):
        ran = "the base branch's file runs, this one is only compared" if fork else "this run uses it"
        assert f"**The pull request changes `pipeline.yml`** ({ran})" in said
        assert "For this pull request:\n\n- `unit` would run" in said
        assert "For a push to `main`:\n\n- ⚠️ weakens security: `ship` loses approval `1 by @ada`" in said
        assert '- `+ on.push: {"branches": ["main"]}`' in said
        assert "Tried on what is recorded: 2 of 3 recorded changes of shop would go otherwise." in said


def test_a_file_of_a_fork_that_is_not_valid_is_told_as_it_is() -> None:
    proposal = Proposal(file="pipeline.yml", problem="pipeline.yml:1:12: pipeline.stagez: `@all` is no key")
    said = shown(told(PLAN, change=PULL.with_(fork=True), proposal=proposal))
    assert "and its file is not valid" in said
    assert "pipeline.stagez" in said
