"""Slack's channel against the stand-in for Slack, over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import pytest

from local.slack.faults import Fault
from local.slack.stand_in import StandIn
from local.slack.workspace import Workspace
from tests.core.building import Story, a_plan, stage
from tests.reporting.telling import PROBLEM, TWO_FAILED, Desk, ends, passes, pipeline, told
from turnout.adapters.slack import SlackChat
from turnout.core import messages as m
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.ports import ReportRow
from turnout.core.result import Result
from turnout.core.run import Run
from turnout.reporting.ledger import LEASE, SENDING, SENT, SKIPPED
from turnout.reporting.slack_channel import SlackChannel


class Rig:
    def __init__(self, running: StandIn) -> None:
        self.workspace = running.workspace
        self.base_url = running.base_url
        self.desk = Desk((self.channel(),))

    def channel(self, default: str = "") -> SlackChannel:
        return SlackChannel(SlackChat("xoxb-test", base_url=self.base_url, timeout=5), default)

    def restart(self) -> None:
        """A new process: nothing is remembered but what the store holds."""
        self.desk.channels = (self.channel(),)

    @property
    def cards(self) -> list[dict[str, Any]]:
        return self.workspace.messages("ci")

    @property
    def thread(self) -> list[str]:
        """The keys of the answers in the thread of the only message."""
        (card,) = self.cards
        return [
            each["metadata"]["event_payload"]["fact"] for each in self.workspace.replies("ci", card["ts"])
        ]

    def calls(self, method: str) -> int:
        return sum(each.method == method for each in self.workspace.calls)

    def card(self, run: Run) -> str:
        row = self.desk.store.find_report(run.id, "slack", "card")
        return row.status if row else ""


@pytest.fixture
def rig() -> Iterator[Rig]:
    with StandIn(Workspace(["ci", "ops"])) as running:
        yield Rig(running)


def headline(card: dict[str, Any]) -> str:
    text: str = card["blocks"][0]["text"]["text"]
    return text


def failing() -> Story:
    """Its test stage has failed once and is tried again."""
    return ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED)


def test_a_run_that_goes_well_is_not_told_unless_asked_for(rig: Rig) -> None:
    story = told(pipeline())
    rig.desk.report(story, "started")
    passes(story, "lint", "test", "script")
    rig.desk.report(story, "finished")
    assert rig.cards == []
    assert rig.desk.status(story.run, "slack", "finished") == SKIPPED


def test_where_success_is_asked_for_one_message_follows_the_run(rig: Rig) -> None:
    story = told(pipeline(on=("success",)))
    rig.desk.report(story, "started")
    assert headline(rig.cards[0]) == ":large_blue_circle: shop is running on main"
    for task in ("lint", "test", "script"):
        passes(story, task)
        rig.desk.report(story, f"stage:{task}")
    rig.desk.report(story, "finished")
    assert [headline(each) for each in rig.cards] == [":white_check_mark: shop succeeded on main"]
    assert rig.desk.status(story.run, "slack", "finished") == SENT


def test_a_failed_attempt_makes_the_message_and_its_details_go_to_the_thread(rig: Rig) -> None:
    story = failing()
    first = story.run.stages["test"].tasks["test"].attempts[0].id
    rig.desk.report(story, f"attempt:{first}")
    assert headline(rig.cards[0]) == ":repeat: shop is trying again on main"
    ends(story, "test", TWO_FAILED)
    second = story.run.stages["test"].tasks["test"].attempts[1].id
    rig.desk.report(story, "stage:test")
    rig.desk.report(story, "finished")
    assert [headline(each) for each in rig.cards] == [":x: shop failed on main"]
    assert rig.thread == [f"attempt:{first}", f"attempt:{second}"]


def test_facts_that_are_late_or_repeated_neither_post_nor_update(rig: Rig) -> None:
    story = failing()
    early = story.run
    ends(story, "test", TWO_FAILED)
    rig.desk.report(story, "finished")
    before = len(rig.workspace.calls)
    for fact in ("started", "stage:lint", "stage:test", "finished"):
        rig.desk.again(early, fact, early.version)
    assert len(rig.workspace.calls) == before


def test_recovery_is_told_where_it_is_asked_for(rig: Rig) -> None:
    rig.desk.put(ends(told(pipeline(), run="before"), "lint", TWO_FAILED))
    rig.desk.report(passes(told(pipeline()), "lint", "test", "script"), "finished")
    assert [headline(each) for each in rig.cards] == [":white_check_mark: shop recovered on main"]
    assert rig.thread == ["recovered"]


def test_a_broken_pipeline_file_is_told_with_its_problems(rig: Rig) -> None:
    rig.desk.channels = (rig.channel(default="#ci"),)
    rig.desk.report(told(None, problems=(PROBLEM,), reason="1 problem"), "finished")
    assert "pipeline.yml:7:5" in str(rig.cards[0]["blocks"])
    assert rig.thread == ["problems"]


def test_a_wanted_approval_is_told_and_later_shown_as_given(rig: Rig) -> None:
    plan = a_plan(stage("ship", approval=Approval()), notify=pipeline().notify)
    story = told(plan)
    rig.desk.report(story, "approval:ship")
    assert headline(rig.cards[0]) == ":raised_hand: shop waits for approval on main"
    story.hear(m.Approve(run=story.run.id, stage="ship", by="ada"))
    passes(story, "ship")
    rig.desk.report(story, "finished")
    assert headline(rig.cards[0]) == ":white_check_mark: shop succeeded on main"
    assert rig.thread == ["approval:ship"]


def test_a_cancelled_run_updates_its_message_but_makes_none(rig: Rig) -> None:
    untold, seen = told(pipeline(), run="untold"), failing()
    rig.desk.report(seen, "attempt:1")
    for story, task in ((untold, "lint"), (seen, "test")):
        story.hear(m.CancelRun(run=story.run.id, by="ada"))
        ends(story, task, Result(outcome=Outcome.CANCELLED))
        rig.desk.report(story, "finished")
    assert [headline(each) for each in rig.cards] == [":no_entry_sign: shop was cancelled on main"]


def test_the_pipeline_files_channel_wins_over_the_default(rig: Rig) -> None:
    rig.desk.channels = (rig.channel(default="#ops"),)
    rig.desk.report(failing(), "attempt:1")
    rig.desk.report(ends(told(pipeline(slack=""), run="other"), "lint", TWO_FAILED), "finished")
    assert (len(rig.cards), len(rig.workspace.messages("ops"))) == (1, 1)


def test_without_any_channel_nothing_is_sent_and_that_is_recorded(rig: Rig) -> None:
    story = ends(told(pipeline(slack="")), "lint", TWO_FAILED)
    rig.desk.report(story, "finished")
    row = rig.desk.store.find_report(story.run.id, "slack", "finished")
    assert row is not None
    assert row.status == SKIPPED
    assert "TURNOUT_SLACK_CHANNEL" in row.reference


@pytest.mark.parametrize("method", ["chat.postMessage", "chat.update"])
@pytest.mark.parametrize("applied", [True, False], ids=["answer-lost", "call-lost"])
def test_whether_the_call_or_its_answer_is_lost_there_is_one_message(
    rig: Rig, method: str, applied: bool
) -> None:
    story = failing()
    if method == "chat.update":
        rig.desk.report(story, "attempt:1")
        passes(story, "test")
    rig.workspace.fail(Fault(method, drop=True, applied=applied))
    with pytest.raises(TransientError):
        rig.desk.report(story, "stage:test")
    rig.restart()
    rig.desk.report(story, "stage:test")
    assert len(rig.cards) == 1
    assert len(rig.thread) == 1
    assert rig.card(story.run) == SENT


def test_a_message_whose_answer_was_lost_is_kept_up_to_date_also_where_none_would_be_made(rig: Rig) -> None:
    story = told(pipeline(on=("success",)))
    rig.workspace.fail(Fault("chat.postMessage", drop=True, applied=True))
    with pytest.raises(TransientError):
        rig.desk.report(story, "started")
    story.hear(m.CancelRun(run=story.run.id, by="ada"))
    ends(story, "lint", Result(outcome=Outcome.CANCELLED))
    rig.desk.report(story, "finished")
    (card,) = rig.cards
    assert "cancelled" in headline(card)


def test_a_lost_answer_to_a_detail_does_not_repeat_it(rig: Rig) -> None:
    story = told(pipeline(on=("success",)))
    rig.desk.report(story, "started")
    ends(story, "lint", TWO_FAILED)
    rig.workspace.fail(Fault("chat.postMessage", drop=True, applied=True))
    with pytest.raises(TransientError):
        rig.desk.report(story, "finished")
    rig.restart()
    rig.desk.report(story, "finished")
    assert len(rig.thread) == 1


def test_a_process_that_dies_after_posting_is_taken_over_without_a_second_message(rig: Rig) -> None:
    story = failing()

    chat = SlackChat("xoxb-test", base_url=rig.base_url, timeout=5)
    post = chat.post

    def post_and_die(channel: str, message: Any) -> str:
        post(channel, message)
        raise KeyboardInterrupt

    chat.post = post_and_die  # type: ignore[method-assign]
    rig.desk.channels = (SlackChannel(chat),)
    with pytest.raises(KeyboardInterrupt):
        rig.desk.report(story, "attempt:1")
    rig.restart()
    with pytest.raises(TransientError, match="another process") as caught:
        rig.desk.report(story, "attempt:1")
    assert caught.value.retry_after is not None
    rig.desk.clock.forward(LEASE.total_seconds())
    passes(story, "test")
    rig.desk.report(story, "stage:test")
    assert [headline(each) for each in rig.cards] == [":large_blue_circle: shop is running on main"]
    assert rig.calls("conversations.list") == 1  # the new process knows the channel by its name only


def test_a_rate_limit_is_handed_on_and_costs_no_message(rig: Rig) -> None:
    rig.workspace.fail(Fault("chat.postMessage", status=429, retry_after=17))
    story = failing()
    with pytest.raises(TransientError) as caught:
        rig.desk.report(story, "attempt:1")
    assert caught.value.retry_after == 17
    rig.desk.report(story, "attempt:1")
    assert len(rig.cards) == 1


def test_a_message_that_somebody_deleted_is_posted_anew(rig: Rig) -> None:
    story = failing()
    rig.desk.report(story, "attempt:1")
    rig.workspace.delete("ci", rig.cards[0]["ts"])
    ends(story, "test", TWO_FAILED)
    rig.desk.report(story, "finished")
    assert [headline(each) for each in rig.cards] == [":x: shop failed on main"]
    assert rig.card(story.run) == SENT


def test_an_unknown_channel_is_a_permanent_error_that_says_what_to_do(rig: Rig) -> None:
    story = ends(told(pipeline(slack="#nowhere")), "lint", TWO_FAILED)
    with pytest.raises(PermanentError, match=r"channel_not_found.*invite the app"):
        rig.desk.report(story, "finished")


def test_two_processes_that_update_at_once_leave_the_newest_state(rig: Rig) -> None:
    story = failing()
    rig.desk.report(story, "attempt:1")
    passes(story, "test")
    middle = rig.desk.put(story)
    rival = Desk((rig.channel(),), rig.desk.store, rig.desk.clock)
    chat = SlackChat("xoxb-test", base_url=rig.base_url, timeout=5)
    update, updates = chat.update, list[str]()

    def overtaken(reference: str, message: Any) -> bool:
        if (
            not updates
        ):  # the rival tells the end of the run before our first update, of a state before, arrives
            with pytest.raises(TransientError, match="is being told by another process"):
                rival.report(passes(story, "script"), "finished")  # shown, and to come again after us
        updates.append(message["blocks"][0]["text"]["text"])
        return update(reference, message)

    chat.update = overtaken  # type: ignore[method-assign]
    rig.desk.channels = (SlackChannel(chat),)
    rig.desk.again(middle, "stage:test", middle.version)
    assert [headline(each) for each in rig.cards] == [":white_check_mark: shop succeeded on main"]
    row = rig.desk.store.find_report(story.run.id, "slack", "card")
    assert row is not None
    assert (row.status, row.version) == (SENT, story.run.version)
    assert len(updates) == 2
    assert rig.desk.status(story.run, "slack", "finished") != SENT
    rival.again(story.run, "finished", story.run.version)
    assert rig.desk.status(story.run, "slack", "finished") == SENT


def test_a_process_that_was_held_up_does_not_leave_an_older_state(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stands still after it has read the run, and before it says in the ledger that it tells it."""
    story = failing()
    rig.desk.report(story, "attempt:1")
    early, store = rig.desk.put(passes(story, "test")), rig.desk.store

    def held_up(write: Callable[[Any], None], rows: ReportRow | Sequence[ReportRow]) -> None:
        row = rows if isinstance(rows, ReportRow) else rows[0]
        if (row.fact, row.status) == ("card", SENDING):
            monkeypatch.undo()
            with pytest.raises(TransientError, match="is being told by another process"):
                rig.desk.report(passes(story, "script"), "finished")
        write(rows)

    for name in ("record_report", "settle_reports"):
        monkeypatch.setattr(store, name, partial(held_up, getattr(store, name)))
    rig.desk.again(early, "stage:test", early.version)
    (card,) = rig.cards
    assert headline(card) == ":white_check_mark: shop succeeded on main"


def test_who_was_held_up_before_it_was_seen_at_all_shows_no_older_state_even_for_a_moment(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its message may have been lost since, and it may die right after: nobody would put right what it shows."""
    story = failing()
    rig.desk.report(story, "attempt:1")
    early, store = rig.desk.put(passes(story, "test")), rig.desk.store
    reserve = store.reserve_report

    def held_up(row: ReportRow) -> ReportRow | None:
        if row.fact == "change:stage:test":
            monkeypatch.undo()
            rig.desk.report(passes(story, "script"), "finished")
        return reserve(row)

    monkeypatch.setattr(store, "reserve_report", held_up)
    rig.desk.again(early, "stage:test", early.version)
    said = [str(call.arguments["text"]) for call in rig.workspace.calls if call.method == "chat.update"]
    ended = [each for each in said if "succeeded" in each]
    assert ended
    assert said[-len(ended) :] == ended


@pytest.mark.parametrize("applied", [True, False], ids=["answer-lost", "call-lost"])
def test_who_was_held_up_and_failed_makes_it_good_when_it_comes_again(
    rig: Rig, monkeypatch: pytest.MonkeyPatch, applied: bool
) -> None:
    """Another has told of the end meanwhile, and with it of what the first one was to tell."""
    story = failing()
    rig.desk.report(story, "attempt:1")
    early, store = rig.desk.put(passes(story, "test")), rig.desk.store
    settle = store.settle_reports

    def held_up(rows: Sequence[ReportRow]) -> None:
        monkeypatch.undo()
        with pytest.raises(TransientError, match="is being told by another process"):
            rig.desk.report(passes(story, "script"), "finished")
        rig.workspace.fail(Fault("chat.update", drop=True, applied=applied))
        settle(rows)

    monkeypatch.setattr(store, "settle_reports", held_up)
    with pytest.raises(TransientError):
        rig.desk.again(early, "stage:test", early.version)
    rig.desk.again(early, "stage:test", early.version)
    (card,) = rig.cards
    assert headline(card) == ":white_check_mark: shop succeeded on main"
    updates = rig.calls("chat.update")
    rig.desk.again(early, "stage:test", early.version)
    assert rig.calls("chat.update") == updates


def test_a_message_that_comes_late_shows_what_was_not_worth_a_message_of_its_own(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is cancelled after it was read, and before the message about it is there."""
    story = told(pipeline(on=("success",)))
    reserve = rig.desk.store.reserve_report

    def held_up(row: ReportRow) -> ReportRow | None:
        monkeypatch.undo()
        story.hear(m.CancelRun(run=story.run.id, by="ada"))
        ends(story, "lint", Result(outcome=Outcome.CANCELLED))
        rig.desk.report(story, "finished")
        assert rig.cards == []
        return reserve(row)

    monkeypatch.setattr(rig.desk.store, "reserve_report", held_up)
    rig.desk.report(story, "started")
    (card,) = rig.cards
    assert "cancelled" in headline(card)


def test_the_whole_of_a_red_then_green_run_is_one_message_and_its_thread(rig: Rig) -> None:
    story = told(pipeline(on=("success", "failure")))
    rig.desk.report(story, "started")
    passes(story, "lint")
    rig.desk.report(story, "stage:lint")
    ends(story, "test", TWO_FAILED)
    rig.desk.report(story, "attempt:1")
    passes(story, "test")
    rig.desk.report(story, "stage:test")
    passes(story, "script")
    rig.desk.report(story, "stage:script")
    rig.desk.report(story, "finished")
    assert len(rig.cards) == 1
    assert len(rig.thread) == 1
    assert rig.calls("conversations.history") == 0  # nobody looks for what is known
