"""What a run's events tell a trace: runs, stages and attempts that have come to their end. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from turnout.core import events as e
from turnout.core.model import Outcome
from turnout.core.run import Attempt, Run, Stage, Task
from turnout.core.tracing import Span, of_attempt, of_run, of_stage

_GOOD = frozenset({Outcome.SUCCESS, Outcome.SKIPPED})


def spans(run: Run, events: Iterable[e.Event]) -> Iterator[Span]:
    """What has come to its end with ``events``; ``run`` is the state after them."""
    for event in events:
        match event:
            case e.AttemptFinished():
                found = run.attempt(event.attempt)
                if found is not None:
                    yield _attempt(run, *found)
            case e.StageFinished():
                yield _stage(run, run.stages[event.stage])
            case e.RunFinished():
                yield _run(run)
            case _:
                pass


def _run(run: Run) -> Span:
    change = run.change
    return Span(
        f"run {run.project}",
        of_run(run.id),
        "",
        run.created_at,
        run.finished_at or run.created_at,
        error=_error(run.outcome, run.reason),
        attributes={
            "turnout.run": run.id,
            "turnout.project": run.project,
            "turnout.outcome": run.outcome.value if run.outcome else "",
            "vcs.ref.head.name": change.branch or change.tag,
            "vcs.ref.head.revision": change.sha,
        },
    )


def _stage(run: Run, stage: Stage) -> Span:
    end = stage.finished_at or run.created_at
    return Span(
        f"stage {stage.name}",
        of_stage(run.id, stage.name),
        of_run(run.id).span,
        stage.started_at or end,
        end,
        error=_error(stage.outcome, stage.reason),
        attributes={
            "turnout.stage": stage.name,
            "turnout.outcome": stage.outcome.value if stage.outcome else "",
        },
    )


def _attempt(run: Run, stage: Stage, task: Task, attempt: Attempt) -> Span:
    """From its launch on: what it waited for an agent is told apart."""
    result = attempt.result
    outcome = result.outcome if result is not None else None
    waited = (attempt.started_at or attempt.finished_at or attempt.launched_at) - attempt.launched_at
    return Span(
        f"attempt {task.id} #{attempt.number}",
        of_attempt(run.id, attempt.id),
        of_stage(run.id, stage.name).span,
        attempt.launched_at,
        attempt.finished_at or attempt.launched_at,
        error=_error(outcome, result.reason or result.summary if result is not None else ""),
        attributes={
            "turnout.attempt": attempt.id,
            "turnout.task": task.id,
            "turnout.agent": run.planned(stage.name).agent,
            "turnout.worker": attempt.worker,
            "turnout.outcome": outcome.value if outcome else "",
            "turnout.queue_seconds": waited.total_seconds(),
        },
    )


def _error(outcome: Outcome | None, reason: str) -> str:
    if outcome is None or outcome in _GOOD:
        return ""
    return reason or outcome.value
