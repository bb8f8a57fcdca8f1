"""Why things happened, or did not, in words: read from the recorded events alone."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import assert_never

from turnout.core import events as e
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage


def explain(history: Sequence[e.Event], stage: str = "") -> tuple[str, ...]:
    """One sentence an event that decided something; about one stage, or about the whole run.

    Raises: KeyError for a stage that the run does not have.
    """
    if not history or not isinstance(history[0], e.RunCreated):
        return ("Nothing is recorded.",)
    created = history[0]
    stages = {each.name: each for each in created.plan.stages} if created.plan else {}
    if stage and stage not in stages:
        raise KeyError(stage)
    task_stage = {task.id: name for name, each in stages.items() for task in each.tasks}
    lines = list(_creation(created)) if not stage else list(_expectation(stages[stage]))
    for event in history[1:]:
        about = _stage_of(event, task_stage)
        if not stage or about in ("", stage):
            sentence = _sentence(event)
            if sentence:
                lines.append(sentence)
    return tuple(lines)


def _creation(created: e.RunCreated) -> Iterable[str]:
    change = created.change
    asked = f" asked for by {created.requested_by}" if created.requested_by else ""
    yield f"The run was made for a {change.kind.value} to {change.ref} at {change.sha[:12]}{asked}."
    if created.rerun_of:
        kept = ", ".join(created.carried) or "none"
        yield f"It reruns {created.rerun_of} ({created.rerun_mode}); stages taken over: {kept}."
    if created.held_by:
        yield f"It waits for {', '.join(created.held_by)} of the same concurrency group."
    for problem in created.problems:
        yield f"The pipeline file is not valid: {problem}."
    if created.plan:
        yield f"Its plan has the digest {created.plan.digest}."


def _expectation(planned: PlannedStage) -> Iterable[str]:
    needs = f"after {', '.join(planned.needs)}" if planned.needs else "at once"
    yield f"{planned.name} is planned to start {needs}, by the {planned.agent} agent."
    if planned.skip:
        yield f"Its `when` leaves it out: {planned.skip}."
    retries = planned.retries
    if retries.max:
        on = ", ".join(outcome.value for outcome in retries.on)
        yield f"It may be retried {retries.max} times on {on}, {retries.backoff:g} s after the attempt before."
    if planned.allow_failure:
        yield "It may fail without harm to the run."


def _stage_of(event: e.Event, task_stage: dict[str, str]) -> str:
    """The stage an event is about; empty: the whole run."""
    stage = getattr(event, "stage", "")
    return stage if stage else task_stage.get(getattr(event, "task", ""), "")


def _sentence(event: e.Event) -> str:
    match event:
        case e.RunCreated():
            return ""
        case e.RunReleased():
            return f"The run was let go: {event.reason}."
        case e.StageSkipped():
            return f"{event.stage} was skipped ({event.because}): {event.reason}."
        case e.ApprovalRequested():
            return f"{event.stage} waits for approval until {event.expires_at:%Y-%m-%d %H:%M} UTC."
        case e.StageApproved():
            rest = "" if event.complete else "; more have to agree"
            return f"{event.stage} was approved by {event.by}{_comment(event.comment)}{rest}."
        case e.StageRejected():
            if event.expired:
                return f"{event.stage} was not approved in time."
            return f"{event.stage} was rejected by {event.by}{_comment(event.comment)}."
        case e.StageStarted():
            return f"{event.stage} started: all it needs had ended well."
        case e.AttemptLaunched():
            return f"Attempt {event.number} of {event.task} was handed to the agents."
        case e.AttemptStarted():
            held = f" ({event.sandbox})" if event.sandbox else ""
            return f"{event.worker or 'An agent'} started {event.task}{held}."
        case e.CancelOrdered():
            return f"{event.task} was told to stop: {event.reason}."
        case e.AttemptFinished():
            return _ended(event)
        case e.RetryScheduled():
            return (
                f"{event.task} is tried again (attempt {event.number}) at {event.due_at:%H:%M:%S} UTC, "
                f"paid from the {event.budget} budget: {event.reason}."
            )
        case e.TaskFinished():
            return f"{event.task} ended as {event.outcome.value}{_because(event.reason)}."
        case e.StageFinished():
            allowed = "; the pipeline file allows that" if event.allowed else ""
            return f"{event.stage} ended as {event.outcome.value}{_because(event.reason)}{allowed}."
        case e.RunHalted():
            return f"The run was halted: {event.reason}."
        case e.CancelRequested():
            if event.superseded_by:
                return (
                    f"The run was superseded by {event.superseded_by}, a newer one of its concurrency group."
                )
            return f"{event.by or 'Somebody'} cancelled the run{_because(event.reason)}."
        case e.MessageIgnored():
            return f"A {event.message} message was ignored: {event.reason}."
        case e.RunFinished():
            return f"The run ended as {event.outcome.value}{_because(event.reason)}."
        case _:
            assert_never(event)


def _ended(event: e.AttemptFinished) -> str:
    result = event.result
    said = result.reason or result.summary
    if event.by == "agent" and result.outcome is Outcome.SUCCESS:
        return f"The agent ended {event.task} as success{_because(result.summary)}."
    who = "The agent" if event.by == "agent" else f"The orchestrator ({event.by} deadline)"
    return f"{who} ended {event.task} as {result.outcome.value}{_because(said)}."


def _because(reason: str) -> str:
    return f": {reason.rstrip('.')}" if reason else ""


def _comment(comment: str) -> str:
    return f" ({comment})" if comment else ""
