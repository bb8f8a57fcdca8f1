"""What the world is told after a decision: tasks and cancels for agents, facts for the reporter. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.artifact_keys import baseline_key
from turnout.core.dsse import Attested
from turnout.core.ids import message_id
from turnout.core.model import ChangeKind
from turnout.core.plan import CheckoutOptions, PlannedStage
from turnout.core.result import FailedCase, Tests
from turnout.core.run import Attempt, Run, Stage, Task, rollback_task
from turnout.core.topics import AGENT_REPORT, agent_topic

SOURCE = "/turnout/orchestrator"
FINISHED = "finished"
"""The last fact of every run."""

COMPARING_AGENTS = frozenset({"security"})
"""Agents that say what is new since the last report on the base branch."""

Sign = Callable[[str], str]
"""The token of an attempt id."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message with its topic, record key, and the id that its envelope must carry."""

    topic: str
    key: str
    id: str
    message: m.Message


def outgoing(run: Run, events: Sequence[e.Event], sign: Sign) -> tuple[Outgoing, ...]:
    """What ``events`` (the newest of ``run``, which is the state after them) give others to do."""
    first = run.version - len(events) + 1
    found: list[Outgoing] = []
    for version, event in enumerate(events, start=first):
        found.extend(_of(run, event, version, sign))
    return tuple(found)


def fact(run: Run, event: e.Event) -> str:
    """What the event is called where people are told of it (`turnout.core.messages.ReportRequested`); empty: they
    aren't. ``run``: any state since the event."""
    match event:
        case e.RunCreated():
            return "started"
        case e.RetryScheduled():
            attempts = run.stages[run.stage_of(event.task) or ""].all_tasks[event.task].attempts
            return f"attempt:{attempts[event.number - 2].id}"
        case e.ApprovalRequested():
            return f"approval:{event.stage}"
        case e.StageApproved() if not event.complete:
            return f"approved:{event.stage}:{event.by}"
        case e.StageStarted():
            return f"running:{event.stage}"
        case e.StageFinished() | e.StageRejected():
            return f"stage:{event.stage}"
        case e.RollbackStarted():
            return f"rollback:{event.stage}"
        case e.RollbackFinished():
            return f"rolled_back:{event.stage}"
        case e.RunFinished():
            return FINISHED
        case _:
            return ""


def task_request(run: Run, attempt: str, sign: Sign) -> Outgoing:
    """The task of one attempt. Its id depends on the attempt alone, so sending it again is harmless.

    Raises: KeyError when the run has no such attempt.
    """
    found = run.attempt(attempt)
    if found is None:
        raise KeyError(attempt)
    stage, task, this = found
    planned = run.planned(stage.name)
    request = _request(run, planned, task, this, sign(attempt))
    return Outgoing(agent_topic(planned.agent), attempt, message_id(request.type, attempt), request)


def last_report(run: Run) -> Outgoing:
    """The last fact of a run that has ended; with it people are told whatever they have not heard of before."""
    return _report(run, run.version, FINISHED)


def _of(run: Run, event: e.Event, version: int, sign: Sign) -> Iterator[Outgoing]:
    match event:
        case e.AttemptLaunched():
            yield task_request(run, event.attempt, sign)
        case e.CancelOrdered():
            yield _cancel(run, event.attempt, event.reason)
        case e.AttemptFinished() if event.by != "agent":
            yield _cancel(run, event.attempt, event.result.reason)
        case _:
            told = fact(run, event)
            if told:
                yield _report(run, version, told)


def _report(run: Run, version: int, fact: str) -> Outgoing:
    message = m.ReportRequested(run=run.id, version=version, fact=fact, project=run.project)
    return Outgoing(AGENT_REPORT, run.id, message_id(message.type, run.id, fact), message)


def _cancel(run: Run, attempt: str, reason: str) -> Outgoing:
    found = run.attempt(attempt)
    assert found is not None
    stage, task, _ = found
    agent = run.planned(stage.name).agent
    message = m.CancelTask(run=run.id, task=task.id, agent=agent, attempt=attempt, reason=reason)
    return Outgoing(agent_topic(agent), attempt, message_id(message.type, attempt), message)


def _request(run: Run, planned: PlannedStage, task: Task, attempt: Attempt, token: str) -> m.TaskRequested:
    change = run.change
    undone = next((each for each in planned.tasks if rollback_task(each.id) == task.id), None)
    cell = (undone or next(each for each in planned.tasks if each.id == task.id)).cell
    needed = upstream(run, planned)
    if undone is not None:
        needed = {**needed, planned.name: _deployed(run.stages[planned.name], undone.id)}
    before = _tests_before(task, attempt)
    return m.TaskRequested(
        run=run.id,
        project=run.project,
        stage=planned.name,
        task=task.id,
        agent=planned.agent,
        attempt=attempt.id,
        number=attempt.number,
        token=token,
        checkout=m.Checkout(
            repository=change.repository,
            clone_url=change.clone_url,
            sha=change.sha,
            ref=change.ref,
            branch=change.branch,
            tag=change.tag,
            options=run.plan.checkout if run.plan else CheckoutOptions(),
        ),
        options=planned.options,
        cell=cell,
        env=planned.env,
        secrets=planned.secrets,
        environment=planned.environment,
        upstream=needed,
        rollback=undone is not None,
        previous_failed=_previous_failed(before) if before else (),
        previous_tests=before.with_(failed_cases=()) if before else None,
        timeout=planned.timeout,
        heartbeat=run.timing.heartbeat,
        runtime=planned.runtime,
        resources=planned.resources,
        network=planned.network,
        trusted=not change.fork,
        baseline=_baseline(run, task.id) if planned.agent in COMPARING_AGENTS else None,
        attested=Attested(required=planned.attested) if planned.attested else None,
    )


def _deployed(stage: Stage, task: str) -> dict[str, str]:
    """What the task gave when it deployed."""
    last = stage.tasks[task].current
    return last.result.outputs if last is not None and last.result is not None else {}


def _baseline(run: Run, task: str) -> m.Baseline | None:
    """The last report on the branch that the change goes to; only a commit that is on the branch takes its place."""
    change = run.change
    branch = change.base_branch or change.branch
    if not branch:
        return None
    keeps = change.kind is not ChangeKind.PULL_REQUEST and not change.fork and not change.dirty
    return m.Baseline(key=baseline_key(run.project, branch, task), branch=branch, keeps=keeps)


def upstream(run: Run, planned: PlannedStage) -> dict[str, dict[str, str]]:
    """Outputs of every stage that this one needs, directly or through others."""
    found: dict[str, dict[str, str]] = {}
    waiting = list(planned.needs)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = run.stages[name].outputs
        waiting.extend(run.planned(name).needs)
    return {name: found[name] for name in sorted(found) if found[name]}


def _tests_before(task: Task, attempt: Attempt) -> Tests | None:
    """What the newest attempt before this one that ran tests found; a lost one found nothing."""
    before = (each.result.tests for each in reversed(task.attempts[: attempt.number - 1]) if each.result)
    return next((tests for tests in before if tests is not None), None)


def _previous_failed(tests: Tests) -> tuple[FailedCase, ...]:
    """The cases that failed; none where not all of them could be named."""
    failed = tests.failed + tests.errors
    return tests.failed_cases if 0 < failed == len(tests.failed_cases) else ()
