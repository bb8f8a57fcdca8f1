"""When people are told. Pure: a function of the run and of how the one before it ended.

| the run | Slack | e-mail |
| --- | --- | --- |
| started | a message, if `success` is asked for | – |
| an attempt failed, a stage failed for good | a message from then on | – |
| waits for approval | a message from then on | one mail a stage |
| ended in failure, error, timed out | a message | a mail |
| succeeded after the one before on the branch did not | a message, if `recovered` is asked for | likewise |
| succeeded | a message, if `success` is asked for | likewise |
| cancelled, superseded, nothing ran | the message that is there is updated, none is made | – |

A message that is there is always kept up to date. Two failures are no reason by themselves, since nobody has to act:
one in a stage with `allow_failure`, and an attempt that the platform lost and tries again.
"""

from __future__ import annotations

from collections.abc import Iterator

from turnout.core.model import Outcome
from turnout.core.plan import Notify
from turnout.core.run import Run, Stage, StageStatus

BAD = frozenset({Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT})
"""Outcomes that always alert, whatever the pipeline file asks for."""


def notify(run: Run) -> Notify:
    """The plan's wishes; the defaults where the pipeline file is broken."""
    return run.plan.notify if run.plan else Notify()


def recovered(run: Run, previous: str) -> bool:
    """``previous``: the outcome of the run before on the branch, empty: none.

    A run in which every stage was skipped has shown nothing.
    """
    ran = any(stage.outcome is Outcome.SUCCESS for stage in run.stages.values())
    return run.outcome is Outcome.SUCCESS and ran and previous in BAD


def end_is_told(run: Run, previous: str) -> bool:
    """Whether this finished run is worth a message of its own."""
    asked = notify(run).on
    if run.outcome in BAD:
        return True
    if run.outcome is not Outcome.SUCCESS:
        return False
    return "success" in asked or ("recovered" in asked and recovered(run, previous))


def is_told(run: Run, previous: str) -> bool:
    """Whether this run, as it is now, is worth a Slack message where there is none yet."""
    if run.finished and run.outcome not in BAD and run.outcome is not Outcome.SUCCESS:
        return False
    if "success" in notify(run).on or failing(run) or any(waiting(run)):
        return True
    return run.finished and end_is_told(run, previous)


def failing(run: Run) -> bool:
    """Whether something went wrong that somebody may have to act on."""
    if run.halted_by and run.stages[run.halted_by].outcome in BAD:
        return True
    for stage, task in run.tasks():
        if run.planned(stage.name).allow_failure:
            continue
        if task.outcome in BAD:
            return True
        for attempt in task.attempts:
            if attempt.result and attempt.result.outcome in BAD and not attempt.result.lost:
                return True
    return False


def waiting(run: Run) -> Iterator[Stage]:
    """The stages that wait for people."""
    if not run.finished:
        yield from (stage for stage in run.stages.values() if stage.status is StageStatus.WAITING)
