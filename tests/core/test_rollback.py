from __future__ import annotations

from typing import Any

import pytest

from tests.core.building import Story, a_plan, kinds, stage
from tests.core.test_environments import check, ship
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.decider import due_at
from turnout.core.environments import held
from turnout.core.errors import IllegalTransition
from turnout.core.evolve import evolve, replay
from turnout.core.explain import explain
from turnout.core.ids import attempt_id
from turnout.core.model import Outcome
from turnout.core.outgoing import Outgoing, outgoing
from turnout.core.plan import PlannedStage, PlannedTask, Retries
from turnout.core.run import RunStatus, dump, load
from turnout.orchestration import carried_stages

UNDO = "ship[rollback]"


def deployed(*more: PlannedStage, plan: dict[str, Any] | None = None, **of_ship: Any) -> Story:
    """A run whose deploy has ended well, and whose check is under way."""
    story = Story.of(a_plan(ship(**of_ship), check("ship"), *more, **(plan or {})))
    story.ends("ship", outputs={"revision": "7", "revision_before": "6"})
    return story


def failed(outcome: Outcome = Outcome.FAILURE) -> Story:
    story = deployed()
    story.ends("check", outcome, reason="the page says 500")
    return story


def sent(story: Story, since: int = 0) -> list[Outgoing]:
    run = replay(story.history)
    assert run is not None
    return list(outgoing(run, story.history[since:], lambda attempt: f"token of {attempt}"))


def tasks(story: Story) -> list[m.TaskRequested]:
    return [each.message for each in sent(story) if isinstance(each.message, m.TaskRequested)]


@pytest.mark.parametrize("outcome", [Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT])
def test_a_stage_that_has_failed_for_good_has_the_deploy_that_it_names_rolled_back(outcome: Outcome) -> None:
    story = failed(outcome)
    assert story.active() == [UNDO]
    assert kinds(story.history)[-3:] == ["run_halted", "rollback_started", "attempt_launched"]
    assert not story.run.finished


def test_the_rollback_task_knows_what_the_deploy_gave() -> None:
    task = tasks(failed())[-1]
    assert (task.agent, task.stage, task.task, task.rollback) == ("deploy", "ship", UNDO, True)
    assert task.upstream["ship"] == {"revision": "7", "revision_before": "6"}
    assert (task.environment, task.number) == ("live", 1)
    assert [each.rollback for each in tasks(failed())] == [False, False, True]


def test_its_attempts_are_counted_and_called_on_their_own() -> None:
    story = failed()
    assert story.attempt(UNDO).id == attempt_id("r1", UNDO, 1)
    assert story.attempt(UNDO).id != attempt_id("r1", "ship", 1)
    assert story.run.stages["ship"].attempts == 1


def test_the_run_ends_as_a_failure_when_the_rollback_has_ended_and_says_so() -> None:
    story = failed()
    story.starts(UNDO)
    assert kinds(story.ends(UNDO))[-2:] == ["rollback_finished", "run_finished"]
    run = story.run
    assert run.outcome is Outcome.FAILURE
    assert run.reason == "check ended as failure: the page says 500; ship was rolled back"
    assert explain(story.history)[-3:] == (
        "The agent ended ship[rollback] as success.",
        "ship was rolled back.",
        "The run ended as failure: check ended as failure: the page says 500; ship was rolled back.",
    )


def test_a_rollback_that_fails_is_told_and_leaves_the_run_a_failure() -> None:
    story = failed()
    story.ends(UNDO, Outcome.FAILURE, reason="no revision 6")
    assert story.run.outcome is Outcome.FAILURE
    assert story.run.reason.endswith("; the rollback of ship failed: no revision 6")


def test_it_is_explained_with_both_stages() -> None:
    story = failed()
    expected = "What ship deployed is rolled back: check ended as failure."
    assert expected in explain(story.history)
    assert expected in explain(story.history, "ship")
    assert expected in explain(story.history, "check")
    assert "Attempt 1 of ship[rollback] was handed to the agents." in explain(story.history, "ship")
    assert "When it has failed for good, what ship deployed is rolled back." in explain(
        story.history, "check"
    )


def test_it_is_rolled_back_only_after_the_last_attempt_has_failed() -> None:
    story = Story.of(a_plan(ship(), check("ship").with_(retries=Retries(max=1))))
    story.ends("ship")
    story.ends("check", Outcome.FAILURE)
    assert story.active() == ["check"]
    story.ends("check", Outcome.FAILURE)
    assert story.active() == [UNDO]


def test_a_failure_that_is_allowed_rolls_nothing_back() -> None:
    story = Story.of(a_plan(ship(), check("ship").with_(allow_failure=True)))
    story.ends("ship")
    story.ends("check", Outcome.FAILURE)
    assert story.run.outcome is Outcome.SUCCESS


@pytest.mark.parametrize("rollback", ["", "ship"])
def test_a_deploy_that_fails_itself_is_left_to_its_agent(rollback: str) -> None:
    story = Story.of(a_plan(ship(rollback=rollback), check("ship")))
    story.ends("ship", Outcome.FAILURE)
    assert story.run.finished
    assert story.run.stages["ship"].rollback is None


def test_a_deploy_that_was_left_out_or_taken_over_is_not_rolled_back() -> None:
    for story in (
        Story.of(a_plan(ship(skip="not now"), check("ship"))),
        Story.of(a_plan(ship(), check("ship")), carried={"ship": e.Carried(outcome=Outcome.SUCCESS)}),
    ):
        story.ends("check", Outcome.FAILURE)
        assert story.run.finished


def test_a_stage_that_was_cancelled_has_not_failed() -> None:
    story = deployed()
    story.hear(m.CancelRun(run="r1", by="ann"))
    story.ends("check", Outcome.CANCELLED)
    assert story.run.finished
    assert story.run.stages["ship"].rollback is None


def test_of_two_stages_that_ask_for_it_the_first_has_it() -> None:
    story = deployed(stage("other", "ship", rollback="ship"), plan={"fail_fast": False})
    story.ends("check", Outcome.FAILURE)
    story.ends("other", Outcome.FAILURE)
    assert kinds(story.history).count("rollback_started") == 1
    story.ends(UNDO)
    assert story.run.outcome is Outcome.FAILURE


def test_the_environment_is_held_until_it_has_ended() -> None:
    story = failed()
    assert held(story.run) == {"live"}
    story.ends(UNDO)
    assert held(story.run) == frozenset()


def test_a_cancelled_run_lets_its_rollback_end() -> None:
    story = failed()
    story.starts(UNDO)
    events = story.hear(m.CancelRun(run="r1", by="ann"))
    assert "cancel_ordered" not in kinds(events)
    assert story.run.status is RunStatus.CANCELLING
    story.ends(UNDO)
    assert story.run.outcome is Outcome.CANCELLED
    assert story.run.reason.endswith("ship was rolled back")


def test_a_lost_rollback_is_tried_again_whatever_becomes_of_the_run() -> None:
    story = failed()
    story.hear(m.CancelRun(run="r1", by="ann"))
    story.later(901)
    assert story.attempt(UNDO).number == 2
    story.later(901)
    assert story.task(UNDO).status == "retrying"
    due = due_at(story.run)
    assert due == story.task(UNDO).due_at
    story.later(5)
    assert story.attempt(UNDO).number == 3
    story.later(901)
    assert story.run.finished
    assert story.run.stages["ship"].rollback is not None
    assert story.run.stages["ship"].rollback.outcome is Outcome.ERROR


def test_no_limit_of_attempts_keeps_a_rollback_waiting() -> None:
    story = deployed(stage("slow", "ship"), plan={"parallel": 2, "fail_fast": False})
    story.ends("check", Outcome.FAILURE)
    assert sorted(story.active()) == [UNDO, "slow"]


def test_its_retries_are_the_deploy_s() -> None:
    story = deployed(retries=1)
    story.ends("check", Outcome.FAILURE)
    story.ends(UNDO, Outcome.FAILURE)
    assert story.attempt(UNDO).number == 2
    assert (
        "attempt:"
        in [each.message.fact for each in sent(story) if isinstance(each.message, m.ReportRequested)][-1]
    )


def test_every_cell_is_rolled_back_with_what_it_gave() -> None:
    cells = (
        PlannedTask(id="ship[region=eu]", cell={"region": "eu"}),
        PlannedTask(id="ship[region=us]", cell={"region": "us"}),
    )
    story = Story.of(a_plan(ship().with_(tasks=cells), check("ship")))
    story.ends("ship[region=eu]", outputs={"revision": "3"})
    story.ends("ship[region=us]", outputs={"revision": "4"})
    story.ends("check", Outcome.FAILURE)
    undone = [each for each in tasks(story) if each.rollback]
    assert [(each.task, each.cell, each.upstream["ship"]) for each in undone] == [
        ("ship[region=eu][rollback]", {"region": "eu"}, {"revision": "3"}),
        ("ship[region=us][rollback]", {"region": "us"}, {"revision": "4"}),
    ]
    story.ends(undone[0].task)
    assert not story.run.finished
    story.ends(undone[1].task, Outcome.FAILURE, reason="no such release")
    assert story.run.reason.endswith("the rollback of ship failed: no such release")


def test_a_rollback_waits_for_another_deploy_of_its_run_to_the_same_environment() -> None:
    story = deployed(ship("second", "ship"), plan={"fail_fast": False})
    assert sorted(story.active()) == ["check", "second"]
    story.ends("check", Outcome.FAILURE)
    assert story.active() == ["second"]
    story.ends("second")
    assert story.active() == [UNDO]


def test_a_deploy_waits_for_a_rollback_of_its_run_in_the_same_environment() -> None:
    story = deployed(stage("slow", "ship"), ship("second", "slow"), plan={"fail_fast": False})
    story.ends("check", Outcome.FAILURE)
    story.ends("slow")
    assert story.active() == [UNDO]
    story.ends(UNDO)
    assert story.active() == ["second"]


def test_people_are_told_of_its_begin_and_its_end() -> None:
    story = failed()
    story.ends(UNDO)
    facts = [each.message.fact for each in sent(story) if isinstance(each.message, m.ReportRequested)]
    assert facts[-3:] == ["rollback:ship", "rolled_back:ship", "finished"]


def test_a_rerun_from_the_failed_stage_deploys_again_what_was_rolled_back() -> None:
    story = failed()
    story.ends(UNDO)
    assert carried_stages(story.run, "failed") == {}
    assert list(carried_stages(story.run, "stage", "check")) == ["ship"]


def test_a_stage_is_rolled_back_once() -> None:
    story = failed()
    again = e.RollbackStarted(at=story.now, stage="ship", because="check")
    with pytest.raises(IllegalTransition):
        evolve(story.run, again)
    story.ends(UNDO)
    with pytest.raises(IllegalTransition):
        evolve(story.run, e.RollbackFinished(at=story.now, stage="ship", outcome=Outcome.SUCCESS))


def test_a_result_of_the_deploy_s_own_attempt_does_not_end_the_rollback() -> None:
    story = failed()
    own = story.attempt("ship").id
    late = story.finished(UNDO).with_(attempt=own, task="ship")
    assert kinds(story.hear(late)) == ["message_ignored"]
    assert story.active() == [UNDO]


def test_a_run_that_is_being_rolled_back_is_stored_whole() -> None:
    story = failed()
    assert load(dump(story.run)) == story.run
    assert replay([e.load(e.dump(event)) for event in story.history]) == story.run


def test_a_run_that_was_stored_before_there_were_rollbacks_is_read() -> None:
    story = Story.of(a_plan(stage("test")))
    old = dump(story.run).replace(',"awaits":"","held_by":"","rollback":null', "")
    assert "rollback" not in old.partition('"stages":{"test"')[2]
    assert load(old) == story.run


def test_a_deploy_that_is_told_to_stop_has_time_to_undo_what_it_is_in_the_midst_of() -> None:
    story = Story.of(a_plan(ship(), stage("test", timeout=60.0)))
    story.starts("ship")
    story.starts("test")
    deadlines = {task: story.attempt(task).deadline for task in ("ship", "test")}
    assert deadlines["ship"] is not None
    assert deadlines["test"] is not None
    assert (deadlines["ship"] - story.now).total_seconds() == 3600 + 120
    assert (deadlines["test"] - story.now).total_seconds() == 60 + 30
    story.hear(m.CancelRun(run="r1", by="ann"))
    given = [story.attempt(task).give_up_at for task in ("ship", "test")]
    assert [(at - story.now).total_seconds() for at in given if at] == [120, 30]
    assert held(story.run) == {"live"}
