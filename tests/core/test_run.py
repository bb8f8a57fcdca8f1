from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import CHANGE, START, Story, a_plan, kinds, stage
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.errors import IllegalTransition
from turnout.core.evolve import evolve, replay
from turnout.core.model import Outcome
from turnout.core.plan import Approval, ConfigProblem, Plan, Retries
from turnout.core.result import Result
from turnout.core.run import (
    TRANSITIONS,
    Run,
    RunStatus,
    StageStatus,
    TaskStatus,
    dump,
    load,
)

ALL_EVENTS: dict[str, Callable[[], Any]] = {
    "run_released": lambda: e.RunReleased(at=START, reason="its turn"),
    "cancel_requested": lambda: e.CancelRequested(at=START, by="ada"),
    "run_halted": lambda: e.RunHalted(at=START, stage="a", outcome=Outcome.FAILURE, reason="a failed"),
    "run_finished": lambda: e.RunFinished(at=START, outcome=Outcome.SUCCESS),
    "stage_skipped": lambda: e.StageSkipped(at=START, stage="a", because="when", reason="not on main"),
    "approval_requested": lambda: e.ApprovalRequested(at=START, stage="a", expires_at=START),
    "stage_approved": lambda: e.StageApproved(at=START, stage="a", by="ada", complete=True),
    "stage_rejected": lambda: e.StageRejected(at=START, stage="a", by="ada"),
    "environment_awaited": lambda: e.EnvironmentAwaited(
        at=START, stage="a", environment="live", held_by="r0"
    ),
    "stage_started": lambda: e.StageStarted(at=START, stage="a"),
    "stage_finished": lambda: e.StageFinished(at=START, stage="a", outcome=Outcome.SUCCESS),
    "rollback_started": lambda: e.RollbackStarted(at=START, stage="a", because="b"),
    "rollback_finished": lambda: e.RollbackFinished(at=START, stage="a", outcome=Outcome.SUCCESS),
    "attempt_launched": lambda: e.AttemptLaunched(
        at=START, stage="a", task="a", attempt="a1", number=1, launch_deadline=START
    ),
    "attempt_started": lambda: e.AttemptStarted(at=START, task="a", attempt="a1", worker="w", deadline=START),
    "cancel_ordered": lambda: e.CancelOrdered(
        at=START, task="a", attempt="a1", reason="halted", give_up_at=START
    ),
    "attempt_finished": lambda: e.AttemptFinished(
        at=START, task="a", attempt="a1", by="agent", result=Result(outcome=Outcome.SUCCESS)
    ),
    "retry_scheduled": lambda: e.RetryScheduled(
        at=START, task="a", number=2, budget="pipeline", due_at=START, reason="again"
    ),
    "task_finished": lambda: e.TaskFinished(at=START, task="a", outcome=Outcome.SUCCESS),
}
MACHINES: dict[str, list[str]] = {
    "run": ["run_released", "cancel_requested", "run_halted", "run_finished"],
    "stage": [
        name for name in ALL_EVENTS if name.startswith(("stage_", "approval_", "environment_", "rollback_"))
    ],
    "task": [
        name
        for name in ALL_EVENTS
        if name.startswith(("attempt_", "cancel_ordered", "retry_", "task_finished"))
    ],
}


def run_of(plan: Plan | None = None) -> Run:
    return Story.of(plan or a_plan(stage("a"))).run.with_(version=1)


def in_state(machine: str, state: str) -> Run:
    """A run whose machine (its stage and task are called ``a``) stands in this state."""
    run = run_of()
    first = run.stages["a"]
    attempts = () if state == "pending" else first.tasks["a"].attempts
    if machine == "run":
        return run.with_(status=RunStatus(state))
    if machine == "stage":
        return run.with_(stages={"a": first.with_(status=StageStatus(state))})
    task = first.tasks["a"].with_(status=TaskStatus(state), attempts=attempts)
    return run.with_(stages={"a": first.with_(tasks={"a": task})})


def state_of(run: Run, machine: str) -> str:
    if machine == "run":
        return run.status.value
    return run.stages["a"].status.value if machine == "stage" else run.stages["a"].tasks["a"].status.value


def fitting(run: Run, name: str) -> e.Event:
    """The event, about the attempt that is under way, or about the next one."""
    event: e.Event = ALL_EVENTS[name]()
    task = run.stages["a"].tasks["a"]
    if isinstance(event, e.AttemptLaunched):
        return event.with_(number=len(task.attempts) + 1)
    if task.current is not None and hasattr(event, "attempt"):
        return event.with_(attempt=task.current.id)
    return event


def allowed() -> Iterator[tuple[str, str, str, str]]:
    for machine, table in TRANSITIONS.items():
        for state, edges in table.items():
            for event, after in edges.items():
                yield machine, state.value, event.model_fields["kind"].default, after.value


def refused() -> Iterator[tuple[str, str, str]]:
    legal = {(machine, state, event) for machine, state, event, _ in allowed()}
    for machine, table in TRANSITIONS.items():
        for state in table:
            for event in MACHINES[machine]:
                if (machine, state.value, event) not in legal:
                    yield machine, state.value, event


def test_every_event_belongs_to_one_machine_or_to_none() -> None:
    known = {each.model_fields["kind"].default for each in e.Occurred.__subclasses__()}
    sorted_out = [name for names in MACHINES.values() for name in names]
    assert len(sorted_out) == len(set(sorted_out))
    assert set(sorted_out) | {"run_created", "message_ignored"} == known


def test_the_table_speaks_of_every_state_and_of_known_events_alone() -> None:
    for machine, states in (("run", RunStatus), ("stage", StageStatus), ("task", TaskStatus)):
        assert list(TRANSITIONS[machine]) == list(states)
    assert {event for _, _, event, _ in allowed()} == set(ALL_EVENTS)


@pytest.mark.parametrize(("machine", "state", "event", "after"), list(allowed()))
def test_an_event_in_the_table_leads_where_the_table_says(
    machine: str, state: str, event: str, after: str
) -> None:
    before = in_state(machine, state)
    if event == "rollback_finished":
        before = evolve(before, ALL_EVENTS["rollback_started"]())
    then = evolve(before, fitting(before, event))
    assert state_of(then, machine) == after
    assert then.version == before.version + 1


@pytest.mark.parametrize(("machine", "state", "event"), list(refused()))
def test_an_event_that_is_not_in_the_table_is_illegal(machine: str, state: str, event: str) -> None:
    before = in_state(machine, state)
    with pytest.raises(IllegalTransition, match=state):
        evolve(before, fitting(before, event))


# --- every line of the table is there since some run goes that way -------------------------------------


def two_cells_one_at_a_time() -> Story:
    """One cell fails: the other, which never began, ends too."""
    story = Story.of(a_plan(stage("a", cells="12"), parallel=1))
    story.ends("a[1]", Outcome.FAILURE)
    return story


def retried() -> Story:
    story = Story.of(a_plan(stage("a", retries=1)))
    story.starts("a")
    story.ends("a", Outcome.FAILURE)
    story.ends("a")
    return story


def cancelled_between_two_attempts() -> Story:
    story = Story.of(a_plan(stage("a", retry=Retries(max=1, backoff=60))))
    story.ends("a", Outcome.FAILURE)
    story.hear(m.CancelRun(run="r1", by="ada"))
    return story


def cancelled(*, started: bool) -> Story:
    story = Story.of(a_plan(stage("a")))
    if started:
        story.starts("a")
    story.hear(m.CancelRun(run="r1", by="ada"))
    story.ends("a", Outcome.CANCELLED)
    return story


def gated(answer: m.Approve | m.Reject | m.CancelRun) -> Story:
    story = Story.of(a_plan(stage("a", approval=Approval())))
    story.hear(answer)
    if story.active():
        story.ends("a")
    return story


def held(answer: m.ReleaseRun | m.CancelRun) -> Story:
    story = Story.of(a_plan(stage("a")), held_by=("r0",))
    story.hear(answer)
    return story


def lost() -> Story:
    story = Story.of(a_plan(stage("a", skip=""), infrastructure_retries=0))
    story.later(901)
    return story


def left_out() -> Story:
    return Story.of(a_plan(stage("a", skip="when.branch")))


def rolled_back() -> Story:
    story = Story.of(a_plan(stage("a", agent="deploy"), stage("b", "a", rollback="a")))
    story.ends("a")
    story.ends("b", Outcome.FAILURE)
    story.ends("a[rollback]")
    return story


def waiting_for_an_environment(*, approved: bool, cancelled: bool) -> Story:
    gate = Approval() if approved else None
    plan = a_plan(stage("a", agent="deploy", environment="live", approval=gate))
    story = Story.of(plan, taken={"live": "r0"})
    if approved:
        story.hear(m.Approve(run="r1", stage="a", by="ada"))
    if cancelled:
        story.hear(m.CancelRun(run="r1", by="ada"))
    return story


STORIES: list[Callable[[], Story]] = [
    two_cells_one_at_a_time,
    retried,
    cancelled_between_two_attempts,
    lambda: cancelled(started=False),
    lambda: cancelled(started=True),
    lambda: gated(m.Approve(run="r1", stage="a", by="ada")),
    lambda: gated(m.Reject(run="r1", stage="a", by="ada")),
    lambda: gated(m.CancelRun(run="r1", by="ada")),
    lambda: held(m.ReleaseRun(run="r1", after="r0")),
    lambda: held(m.CancelRun(run="r1", by="ada")),
    lost,
    left_out,
    rolled_back,
    lambda: waiting_for_an_environment(approved=False, cancelled=False),
    lambda: waiting_for_an_environment(approved=True, cancelled=True),
]


def taken(story: Story) -> Iterator[tuple[str, str, str, str]]:
    """The lines of the table that a run's history goes along."""
    for number, event in enumerate(story.history[1:], start=1):
        before, after = replay(story.history[:number]), replay(story.history[: number + 1])
        assert before is not None
        assert after is not None
        machine = next((name for name, events in MACHINES.items() if event.kind in events), "")
        if machine == "run":
            yield machine, before.status.value, event.kind, after.status.value
        elif machine == "stage":
            name = getattr(event, "stage", "")
            yield machine, before.stages[name].status.value, event.kind, after.stages[name].status.value
        elif machine == "task":
            id = getattr(event, "task", "")
            was, now = ({task.id: task for _, task in run.tasks()}[id] for run in (before, after))
            yield machine, was.status.value, event.kind, now.status.value


def test_every_line_of_the_table_is_some_runs_way() -> None:
    seen = {step for story in STORIES for step in taken(story())}
    assert seen == set(allowed())


# --- what the table can't say --------------------------------------------------------------------------


def test_nothing_follows_but_a_creation_where_there_is_no_run() -> None:
    for make in ALL_EVENTS.values():
        with pytest.raises(IllegalTransition, match="no run"):
            evolve(None, make())


def test_a_run_is_created_once() -> None:
    story = Story.of(a_plan(stage("a")))
    with pytest.raises(IllegalTransition, match="a run before it"):
        evolve(story.run, story.history[0])


def test_a_run_that_is_held_begins_queued_and_any_other_begins_running() -> None:
    assert Story.of(a_plan(stage("a")), held_by=("r0",)).run.status is RunStatus.QUEUED
    assert Story.of(a_plan(stage("a"))).run.status is RunStatus.RUNNING


def test_an_incomplete_approval_leaves_the_stage_waiting() -> None:
    story = Story.of(a_plan(stage("a", approval=Approval(required=2))))
    story.hear(m.Approve(run="r1", stage="a", by="ada"))
    assert story.run.stages["a"].status is StageStatus.WAITING
    assert [given.by for given in story.run.stages["a"].approvals] == ["ada"]


@pytest.mark.parametrize("event", ["attempt_started", "attempt_finished", "cancel_ordered"])
def test_an_event_about_another_attempt_than_the_current_one_is_illegal(event: str) -> None:
    with pytest.raises(IllegalTransition, match="a1 is not the current one of a"):
        evolve(run_of(), ALL_EVENTS[event]())


def test_attempts_are_numbered_without_a_gap() -> None:
    with pytest.raises(IllegalTransition, match="attempt 3 of a after 0"):
        evolve(in_state("task", "pending"), ALL_EVENTS["attempt_launched"]().with_(number=3))


@pytest.mark.parametrize("event", ["stage_started", "task_finished"])
def test_an_event_about_a_stage_or_task_that_the_run_does_not_have_is_illegal(event: str) -> None:
    stranger = ALL_EVENTS[event]().with_(**{event.split("_")[0]: "nobody"})
    with pytest.raises(IllegalTransition, match=r"no (stage|task) 'nobody'"):
        evolve(run_of(), stranger)


def test_an_ignored_message_changes_nothing_but_the_version() -> None:
    run = run_of()
    ignored = e.MessageIgnored(at=START, message="turnout.task.finished", reason="too late")
    assert evolve(run, ignored) == run.with_(version=2)


def test_a_run_without_a_plan_has_its_problems_and_no_stages() -> None:
    problem = ConfigProblem(file="pipeline.yml", line=3, column=7, path="pipeline.stages", message="no")
    story = Story.of(None, problems=(problem,), reason="the pipeline file is not valid")
    assert kinds(story.history) == ["run_created", "run_finished"]
    assert (story.run.outcome, story.run.stages) == (Outcome.FAILURE, {})
    assert story.run.problems == (problem,)
    with pytest.raises(KeyError):
        story.run.planned("a")


def test_outputs_of_matrix_cells_stand_under_the_cell_too() -> None:
    story = Story.of(a_plan(stage("a", cells="12")))
    for cell in "12":
        story.ends(f"a[{cell}]", outputs={"image": f"shop:{cell}"})
    assert story.run.stages["a"].outputs == {
        "image": "shop:2",
        "a[1].image": "shop:1",
        "a[2].image": "shop:2",
    }


def test_outputs_of_a_failed_task_are_not_handed_on() -> None:
    story = Story.of(a_plan(stage("a", allow_failure=True), stage("b", "a")))
    story.ends("a", Outcome.FAILURE, outputs={"image": "half a shop"})
    assert story.run.stages["a"].outputs == {}
    assert story.run.stages["a"].allowed


def test_stages_taken_over_by_a_rerun_have_ended_already() -> None:
    carried = {"a": e.Carried(outcome=Outcome.SUCCESS, outputs={"image": "shop"})}
    story = Story.of(a_plan(stage("a"), stage("b", "a")), carried=carried, rerun_of="r0", rerun_mode="failed")
    first = story.run.stages["a"]
    assert (first.status, first.carried, first.outputs) == (StageStatus.FINISHED, True, {"image": "shop"})
    assert first.reason == "taken over from run r0"
    assert story.active() == ["b"]


def test_attempts_and_tasks_are_found_by_their_ids() -> None:
    story = retried()
    first, second = story.task("a").attempts
    for attempt in (first, second):
        found = story.run.attempt(attempt.id)
        assert found is not None
        assert found[2] == attempt
    assert story.run.attempt("nobody") is None
    assert (story.run.stage_of("a"), story.run.stage_of("nobody")) == ("a", None)
    assert story.run.stages["a"].attempts == 2


@given(st.sampled_from(range(len(STORIES))), st.data())
def test_a_run_can_be_rebuilt_from_any_point_of_its_history(number: int, data: st.DataObject) -> None:
    history = STORIES[number]().history
    cut = data.draw(st.integers(1, len(history)))
    middle = replay(history[:cut])
    assert middle is not None
    assert middle.version == cut
    assert replay(history[cut:], load(dump(middle))) == replay(history)
    assert [e.load(e.dump(event)) for event in history] == list(history)


def test_nothing_is_replayed_to_nothing() -> None:
    assert replay([]) is None
    assert run_of().change == CHANGE
