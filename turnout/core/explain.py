"""Why things happened, or did not, in words: read from the recorded events alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import assert_never

from turnout.core import events as e
from turnout.core.model import Outcome
from turnout.core.plan import PlannedStage
from turnout.core.run import rollback_task


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
    of_task = {task.id: name for name, each in stages.items() for task in each.tasks}
    of_task |= {rollback_task(task): name for task, name in of_task.items()}
    of_attempt: dict[str, str] = {}
    lines = list(_creation(created)) if not stage else list(_expectation(stages[stage]))
    for before, event in pairwise(history):
        if isinstance(event, e.AttemptLaunched):
            of_attempt[event.attempt] = event.stage
        said_already = isinstance(event, e.TaskFinished) and isinstance(before, e.AttemptFinished)
        if not said_already and _concerns(event, stage, of_task, of_attempt):
            lines.append(_sentence(event))
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
        yield f"The pipeline file is not valid{_because(str(problem))}."
    if created.plan:
        yield f"Its plan has the digest {created.plan.digest}."


def _expectation(planned: PlannedStage) -> Iterable[str]:
    needs = f"after {', '.join(planned.needs)}" if planned.needs else "at once"
    yield f"{planned.name} is planned to start {needs}, by the {planned.agent} agent."
    if planned.skip:
        yield f"Its `when` leaves it out{_because(planned.skip)}."
    retries = planned.retries
    if retries.max:
        on = ", ".join(outcome.value for outcome in retries.on)
        times = "once" if retries.max == 1 else f"{retries.max} times"
        wait = f"{retries.backoff:g} s after the attempt before" if retries.backoff else "at once"
        longer = (
            f", then {retries.factor:g} times as long each" if retries.max > 1 and retries.backoff else ""
        )
        yield f"It may be retried {times} on {on}, {wait}{longer}."
    if planned.rollback == planned.name:
        yield "Its agent takes back a rollout that fails."
    elif planned.rollback:
        yield f"When it has failed for good, what {planned.rollback} deployed is rolled back."
    if planned.allow_failure:
        yield "It may fail without harm to the run."
    for note in planned.notes:
        yield f"Note{_because(note)}."


def _concerns(event: e.Event, stage: str, of_task: dict[str, str], of_attempt: dict[str, str]) -> bool:
    """Whether the event belongs into the story of this stage; every event belongs into the run's."""
    if not stage:
        return True
    if isinstance(event, e.MessageIgnored):
        named = re.search(rf"(?<![\w-]){re.escape(stage)}(?![\w-])", event.reason) is not None
        return of_attempt.get(event.attempt) == stage if event.attempt else named
    if isinstance(event, e.RunHalted):
        return True
    if isinstance(event, e.RollbackStarted) and event.because == stage:
        return True
    about = getattr(event, "stage", "") or of_task.get(getattr(event, "task", ""), "")
    return about in ("", stage)


def _sentence(event: e.Event) -> str:
    match event:
        case e.RunCreated():
            return "The run was made."
        case e.RunReleased():
            return f"The run was let go{_because(event.reason)}."
        case e.StageSkipped():
            return f"{event.stage} was skipped ({event.because}){_because(event.reason)}."
        case e.ApprovalRequested():
            return f"{event.stage} waits for approval until {event.expires_at:%Y-%m-%d %H:%M} UTC."
        case e.StageApproved():
            rest = "" if event.complete else "; more have to agree"
            return f"{event.stage} was approved by {event.by}{_comment(event.comment)}{rest}."
        case e.StageRejected():
            if event.expired:
                return f"{event.stage} was not approved in time."
            return f"{event.stage} was rejected by {event.by}{_comment(event.comment)}."
        case e.EnvironmentAwaited():
            who = (
                f"run {event.held_by} is ahead of it"
                if event.held_by
                else "another stage of this run is at it"
            )
            return f"{event.stage} waits for environment {event.environment}: {who}."
        case e.StageStarted():
            return f"{event.stage} started: all it needs had ended well."
        case e.AttemptLaunched():
            return f"Attempt {event.number} of {event.task} was handed to the agents."
        case e.AttemptStarted():
            held = f" ({event.sandbox})" if event.sandbox else ""
            return f"{event.worker or 'An agent'} started {event.task}{held}."
        case e.CancelOrdered():
            return f"{event.task} was told to stop{_because(event.reason)}."
        case e.AttemptFinished():
            return _ended(event)
        case e.RetryScheduled():
            return (
                f"{event.task} is tried again (attempt {event.number}) at {event.due_at:%H:%M:%S} UTC, "
                f"paid from the {event.budget} budget{_because(event.reason)}."
            )
        case e.TaskFinished():
            return f"{event.task} ended as {event.outcome.value}{_because(event.reason)}."
        case e.StageFinished():
            allowed = "; the pipeline file allows that" if event.allowed else ""
            return f"{event.stage} ended as {event.outcome.value}{_because(event.reason)}{allowed}."
        case e.RollbackStarted():
            return f"What {event.stage} deployed is rolled back{_because(event.reason)}."
        case e.RollbackFinished():
            if event.outcome is Outcome.SUCCESS:
                return f"{event.stage} was rolled back."
            return f"The rollback of {event.stage} ended as {event.outcome.value}{_because(event.reason)}."
        case e.RunHalted():
            return f"The run was halted{_because(event.reason)}."
        case e.CancelRequested():
            if event.superseded_by:
                return (
                    f"The run was superseded by {event.superseded_by}, a newer one of its concurrency group."
                )
            return f"{event.by or 'Somebody'} cancelled the run{_because(event.reason)}."
        case e.MessageIgnored():
            return f"A {event.message} message was ignored{_because(event.reason)}."
        case e.RunFinished():
            return f"The run ended as {event.outcome.value}{_because(event.reason)}."
        case _:
            assert_never(event)


def _ended(event: e.AttemptFinished) -> str:
    result = event.result
    said = result.reason or result.summary
    if event.by == "agent" and result.outcome is Outcome.SUCCESS:
        return f"The agent ended {event.task} as success{_because(result.summary)}."
    match event.by:
        case "agent":
            who = "The agent"
        case "runtime":
            who = "The orchestrator (its job has ended)"
        case _:
            who = f"The orchestrator ({event.by} deadline)"
    return f"{who} ended {event.task} as {result.outcome.value}{_because(said)}."


def _because(reason: str) -> str:
    return f": {' '.join(reason.split()).rstrip('.')}" if reason else ""


def _comment(comment: str) -> str:
    return f" ({comment})" if comment else ""
