from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.reporting.telling import CHANGE, TWO_FAILED, Desk, ends, passes, pipeline, told
from turnout.adapters.memory_store import MemoryStore
from turnout.core import messages as m
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.core.messages import ReportRequested
from turnout.core.model import Outcome
from turnout.core.outgoing import fact
from turnout.core.ports import ReportRow
from turnout.core.result import Result
from turnout.core.run import Run
from turnout.reporting.current import Report
from turnout.reporting.deliver import Told, Unconfigured, report, run_all
from turnout.reporting.ledger import FAILED, SENT, SKIPPED, Ledger


@dataclass
class Ear:
    """A channel that remembers what it was told, and fails where a test says so."""

    name: str
    heard: list[Report] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    silence: str = ""

    def silent(self, run: Run) -> str:
        return self.silence

    def tell(self, report: Report, ledger: Ledger) -> Told:
        if self.failures:
            raise self.failures.pop(0)
        ledger.once(f"heard:{report.run.version}", report.run.version, lambda: "ref")
        self.heard.append(report)
        return Told.sent("ref")


@pytest.fixture
def slack() -> Ear:
    return Ear("slack")


@pytest.fixture
def email() -> Ear:
    return Ear("email")


@pytest.fixture
def desk(slack: Ear, email: Ear) -> Desk:
    return Desk((slack, email))


def test_every_channel_is_told_and_the_fact_recorded(desk: Desk, slack: Ear, email: Ear) -> None:
    story = told(pipeline())
    desk.report(story, "started")
    assert len(slack.heard) == len(email.heard) == 1
    assert [desk.status(story.run, name, "started") for name in ("slack", "email")] == [SENT, SENT]


def test_a_delivery_that_fails_late_does_not_undo_what_another_has_told(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    run = desk.put(story)

    def overtaken(report: Report, ledger: Ledger) -> Told:
        del slack.tell
        desk.again(run, "started", run.version)
        raise TransientError("no answer in time")

    slack.tell = overtaken  # type: ignore[method-assign]  # a race, staged
    with pytest.raises(TransientError):
        desk.again(run, "started", run.version)
    assert desk.status(run, "slack", "started") == SENT


def test_a_redelivered_fact_is_told_nobody_again(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    desk.report(story, "started")
    desk.report(story, "started")
    assert len(slack.heard) == 1


def test_one_channel_failing_keeps_neither_the_other_waiting_nor_tells_it_twice(
    desk: Desk, slack: Ear, email: Ear
) -> None:
    slack.failures.append(TransientError("slack is away", retry_after=7))
    story = told(pipeline())
    with pytest.raises(TransientError) as caught:
        desk.report(story, "started")
    assert caught.value.retry_after == 7
    assert (len(slack.heard), len(email.heard)) == (0, 1)
    assert desk.status(story.run, "slack", "started") == ""
    desk.report(story, "started")
    assert (len(slack.heard), len(email.heard)) == (1, 1)
    assert desk.status(story.run, "slack", "started") == SENT


def test_a_failure_that_trying_again_can_help_wins_over_one_that_it_can_not(
    desk: Desk, slack: Ear, email: Ear
) -> None:
    slack.failures.append(PermanentError("no such channel"))
    email.failures.append(TransientError("greylisted"))
    with pytest.raises(TransientError, match=r"no such channel.*greylisted"):
        desk.report(told(pipeline()), "started")


def test_the_dead_letter_names_every_reason(desk: Desk, slack: Ear, email: Ear) -> None:
    slack.failures.append(PermanentError("no such channel"))
    email.failures.append(PermanentError("no such mailbox"))
    with pytest.raises(PermanentError, match=r"no such channel; no such mailbox"):
        desk.report(told(pipeline()), "started")


def test_a_defect_of_a_channel_comes_out_as_it_is_after_the_others_were_told(
    desk: Desk, slack: Ear, email: Ear
) -> None:
    slack.failures.append(ZeroDivisionError())
    with pytest.raises(ZeroDivisionError):
        desk.report(told(pipeline()), "started")
    assert len(email.heard) == 1


def test_the_longest_wait_that_was_asked_for_counts() -> None:
    def wait(seconds: float | None) -> Callable[[], None]:
        def step() -> None:
            raise TransientError("wait", retry_after=seconds)

        return step

    with pytest.raises(TransientError) as caught:
        run_all([wait(3), wait(None), wait(30)])
    assert caught.value.retry_after == 30


def test_people_are_told_the_run_as_it_is_now_also_by_an_old_fact(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    early = desk.put(story)
    passes(story, "lint", "test", "script")
    desk.put(story)
    desk.again(early, "started", early.version)
    assert slack.heard[0].run.outcome is Outcome.SUCCESS


FACTS = (
    "started",
    *(f"{what}:{stage}" for stage in ("lint", "test", "script") for what in ("running", "stage")),
    "finished",
)
"""Of a run of the pipeline that passes."""


def statuses(desk: Desk, run: Run, channel: str = "slack") -> set[str]:
    return {desk.status(run, channel, fact) for fact in FACTS}


def test_a_channel_that_is_not_set_up_costs_nothing_until_the_run_ends_and_is_recorded_then() -> None:
    desk = Desk((Unconfigured("slack", "TURNOUT_SLACK_TOKEN is not set"),))
    story = told(pipeline())
    desk.report(story, "started")
    assert statuses(desk, story.run) == {""}
    desk.report(passes(story, "lint", "test", "script"), "finished")
    assert statuses(desk, story.run) == {SKIPPED}
    row = desk.store.find_report(story.run.id, "slack", "running:lint")
    assert row is not None
    assert row.reference == "TURNOUT_SLACK_TOKEN is not set"


def test_a_channel_that_has_nothing_to_say_of_a_run_is_like_one_that_is_not_set_up(
    desk: Desk, slack: Ear, email: Ear
) -> None:
    slack.silence = "no channel"
    story = passes(told(pipeline()), "lint", "test", "script")
    desk.report(story, "finished")
    assert (slack.heard, len(email.heard)) == ([], 1)
    assert statuses(desk, story.run) == {SKIPPED}


def test_facts_that_were_overtaken_are_told_with_the_newer_state_and_not_again(
    desk: Desk, slack: Ear
) -> None:
    story = told(pipeline())
    early = desk.put(story)
    desk.put(passes(story, "lint"))
    desk.again(early, "started", 1)
    facts = {each.version: fact(story.run, each.event) for each in desk.store.events(story.run.id)}
    on_their_way = {name: version for version, name in facts.items() if name}
    assert {"running:lint", "stage:lint", "running:test"} < on_their_way.keys()
    for name, version in on_their_way.items():
        assert desk.status(story.run, "slack", name) == SENT
        desk.again(story.run, name, version)
    assert [each.run.version for each in slack.heard] == [story.run.version]


def test_what_is_decided_while_people_are_told_is_left_for_its_own_time(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    run = desk.put(passes(story, "lint"))

    def slowly(report: Report, ledger: Ledger) -> Told:
        desk.put(ends(story, "test", TWO_FAILED))
        return Told.sent("ref")

    slack.tell = slowly  # type: ignore[method-assign]  # a race, staged
    desk.again(run, "started", 1)
    assert desk.status(run, "slack", "running:test") == SENT
    first = story.task("test").attempts[0].id
    assert desk.status(story.run, "slack", f"attempt:{first}") == ""


def test_whoever_tells_the_end_of_a_run_settles_also_what_was_lost_on_its_way(desk: Desk) -> None:
    story = told(pipeline())
    late = desk.put(passes(story, "lint"))
    desk.put(passes(story, "test", "script"))
    desk.again(late, "running:test", late.version)
    assert statuses(desk, story.run) == {SENT}


def test_a_fact_that_was_told_keeps_what_was_said_of_it(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    desk.report(story, "started")
    slack.silence = "the pipeline file names none any more"
    desk.report(passes(story, "lint", "test", "script"), "finished")
    assert desk.status(story.run, "slack", "started") == SENT
    assert desk.status(story.run, "slack", "stage:lint") == SKIPPED


def test_what_failed_for_good_is_told_with_the_end_of_the_run(desk: Desk, slack: Ear) -> None:
    slack.failures.append(PermanentError("no such channel"))
    story = told(pipeline())
    with pytest.raises(PermanentError):
        desk.report(story, "started")
    assert desk.status(story.run, "slack", "started") == FAILED
    desk.report(passes(story, "lint", "test", "script"), "finished")
    assert statuses(desk, story.run) == {SENT}


def test_a_fact_never_told_is_not_recorded_by_one_from_before_it(desk: Desk, slack: Ear) -> None:
    story = told(pipeline())
    desk.report(story, "started")
    desk.put(passes(story, "lint"))
    assert slack.heard
    assert desk.status(story.run, "slack", "stage:lint") == ""


class Stingy(MemoryStore):
    """Notes each time that something is recorded."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[str] = []

    def record_report(self, report: ReportRow) -> None:
        self.writes.append(report.fact)
        super().record_report(report)


def test_a_run_that_nobody_is_told_of_is_written_about_once() -> None:
    store = Stingy()
    desk = Desk((Unconfigured("slack", "no token"),), store)
    story = told(pipeline())
    desk.report(story, "started")
    for stage in ("lint", "test", "script"):
        desk.report(passes(story, stage), f"stage:{stage}")
    assert store.writes == []
    desk.report(story, "finished")
    assert sorted(store.writes) == sorted(FACTS)


def test_a_run_that_the_store_does_not_have_can_not_be_told(desk: Desk) -> None:
    message = ReportRequested(run="nobody", version=1, fact="started", project="shop")
    with pytest.raises(NotFound, match="nobody"):
        report(message, desk.store, desk.channels, desk.clock)


def test_a_store_that_lags_behind_the_fact_is_asked_again_later(desk: Desk) -> None:
    run = desk.put(told(pipeline()))
    with pytest.raises(TransientError, match=f"version {run.version}"):
        desk.again(run, "finished", run.version + 1)


class TestTheRunBefore:
    def finished(self, desk: Desk, run: str, outcome: Outcome, branch: str = "main") -> None:
        """A run of the branch that ended so."""
        story = told(pipeline(), run=run, change=CHANGE.with_(branch=branch))
        match outcome:
            case Outcome.CANCELLED:
                story.hear(m.CancelRun(run=run, by="ada"))
                ends(story, "lint", Result(outcome=Outcome.CANCELLED))
            case Outcome.FAILURE:
                ends(story, "lint", TWO_FAILED)
            case _:
                passes(story, "lint", "test", "script")
        assert story.run.outcome is outcome
        desk.put(story)

    def previous(self, desk: Desk, ear: Ear) -> str:
        desk.report(passes(told(pipeline(), run="new"), "lint", "test", "script"), "finished")
        return ear.heard[-1].previous

    def test_there_may_be_none(self, desk: Desk, slack: Ear) -> None:
        assert self.previous(desk, slack) == ""

    def test_its_outcome_counts(self, desk: Desk, slack: Ear) -> None:
        self.finished(desk, "1", Outcome.FAILURE)
        self.finished(desk, "2", Outcome.SUCCESS)
        assert self.previous(desk, slack) == "success"

    def test_cancelled_ones_are_looked_past(self, desk: Desk, slack: Ear) -> None:
        self.finished(desk, "1", Outcome.FAILURE)
        self.finished(desk, "2", Outcome.CANCELLED)
        self.finished(desk, "3", Outcome.CANCELLED)
        assert self.previous(desk, slack) == "failure"

    def test_only_cancelled_ones_are_like_none(self, desk: Desk, slack: Ear) -> None:
        self.finished(desk, "1", Outcome.CANCELLED)
        assert self.previous(desk, slack) == ""

    def test_those_of_another_branch_do_not_count(self, desk: Desk, slack: Ear) -> None:
        self.finished(desk, "1", Outcome.FAILURE, branch="topic")
        assert self.previous(desk, slack) == ""
