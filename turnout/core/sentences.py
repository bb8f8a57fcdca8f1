"""What happened, in words: one sentence an event."""

from __future__ import annotations

from typing import assert_never

from turnout.core import events as e
from turnout.core.model import Outcome


def sentence(event: e.Event) -> str:
    match event:
        case e.RunCreated():
            change = event.change
            asked = f" asked for by {event.requested_by}" if event.requested_by else ""
            return f"The run was made for a {change.kind.value} to {change.ref} at {change.sha[:12]}{asked}."
        case e.RunReleased():
            return f"The run was let go{because(event.reason)}."
        case e.StageSkipped():
            return f"{event.stage} was skipped ({event.because}){because(event.reason)}."
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
            return f"{event.task} was told to stop{because(event.reason)}."
        case e.AttemptFinished():
            return _ended(event)
        case e.RetryScheduled():
            return (
                f"{event.task} is tried again (attempt {event.number}) at {event.due_at:%H:%M:%S} UTC, "
                f"paid from the {event.budget} budget{because(event.reason)}."
            )
        case e.TaskFinished():
            return f"{event.task} ended as {event.outcome.value}{because(event.reason)}."
        case e.StageFinished():
            allowed = "; the pipeline file allows that" if event.allowed else ""
            return f"{event.stage} ended as {event.outcome.value}{because(event.reason)}{allowed}."
        case e.RollbackStarted():
            return f"What {event.stage} deployed is rolled back{because(event.reason)}."
        case e.RollbackFinished():
            if event.outcome is Outcome.SUCCESS:
                return f"{event.stage} was rolled back."
            return f"The rollback of {event.stage} ended as {event.outcome.value}{because(event.reason)}."
        case e.RunHalted():
            return f"The run was halted{because(event.reason)}."
        case e.CancelRequested():
            if event.superseded_by:
                return (
                    f"The run was superseded by {event.superseded_by}, a newer one of its concurrency group."
                )
            return f"{event.by or 'Somebody'} cancelled the run{because(event.reason)}."
        case e.MessageIgnored():
            return f"A {event.message} message was ignored{because(event.reason)}."
        case e.RunFinished():
            return f"The run ended as {event.outcome.value}{because(event.reason)}."
        case _:
            assert_never(event)


def _ended(event: e.AttemptFinished) -> str:
    result = event.result
    said = result.reason or result.summary
    if event.by == "agent" and result.outcome is Outcome.SUCCESS:
        return f"The agent ended {event.task} as success{because(result.summary)}."
    match event.by:
        case "agent":
            who = "The agent"
        case "runtime":
            who = "The orchestrator (its job has ended)"
        case _:
            who = f"The orchestrator ({event.by} deadline)"
    return f"{who} ended {event.task} as {result.outcome.value}{because(said)}."


def because(reason: str) -> str:
    return f": {' '.join(reason.split()).rstrip('.')}" if reason else ""


def _comment(comment: str) -> str:
    return f" ({comment})" if comment else ""
