"""What must hold: some of it after every commit, the rest when all is quiet."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tests.simulation.deploying import Deploying
from tests.simulation.endings import Ending, short
from tests.simulation.scenario import KINDS
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.errors import IllegalTransition
from turnout.core.evolve import evolve
from turnout.core.ids import attempt_id, run_id
from turnout.core.model import Outcome
from turnout.core.outgoing import FINISHED, outgoing
from turnout.core.plan import Plan
from turnout.core.ports import Commit, OutboxRow
from turnout.core.run import Run, RunStatus, StageStatus, TaskStatus
from turnout.core.topics import AGENT_LOGS, AGENT_REPORT, DEAD_LETTERS

if TYPE_CHECKING:
    from tests.simulation.world import World

SLACK = 120.0
"""Seconds that a due time may be late by in the calm: outages before it, sweeps, redeliveries with backoff."""


ORDERS: dict[type[Any], str] = {
    e.AttemptLaunched: m.TaskRequested.type,
    e.CancelOrdered: m.CancelTask.type,
    e.RunFinished: m.ReportRequested.type,
    e.RollbackFinished: m.ReportRequested.type,
    e.ApprovalRequested: m.ReportRequested.type,
}
"""Events, and what must go out with them."""


@dataclass(frozen=True, slots=True)
class Broken:
    """``name`` is the invariant; ``text`` what was seen instead."""

    name: str
    text: str
    at: float

    def __str__(self) -> str:
        return f"{self.name}: {self.text} (at {self.at:.3f} s)"


class Watch:
    """Looks at every commit of the store, and at everything in the end."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.broken: list[Broken] = []
        self.states: dict[str, Run] = {}
        self.history: dict[str, list[tuple[int, Run]]] = {}
        self.triggers: dict[str, str] = {}
        self.attempts: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.workers: dict[str, str] = {}
        self.facts: dict[tuple[str, str], int] = {}
        self.deploying = Deploying(world)
        self.events = 0
        self._late: dict[str, float] = {}

    def attach(self) -> None:
        store: Any = self.world.store
        commit = store.commit

        def watched(change: Commit) -> Sequence[OutboxRow]:
            rows: Sequence[OutboxRow] = commit(change)
            if change.run is not None:
                self._committed(change, change.run)
            return rows

        store.commit = watched

    def fail(self, name: str, text: str) -> None:
        self.broken.append(Broken(name, text, self.world.kernel.now))
        self.world.tell("the watch", f"{name}: {text}")
        self.world.kernel.stopped = True

    def defect(self, error: Exception) -> None:
        where = traceback.extract_tb(error.__traceback__)[-1]
        self.fail("no defect", f"{type(error).__name__}: {error} ({where.name}, line {where.lineno})")

    # --- after every commit -----------------------------------------------------------------------

    def _committed(self, change: Commit, after: Run) -> None:
        before = self.states.get(after.id)
        if (before.version if before else 0) != change.expected:
            self.fail("one history", f"run {short(after)}: two writers wrote version {change.expected + 1}")
            return
        self.events += len(change.events)
        run = before
        for event in change.events:
            try:
                then, run = run, evolve(run, event)
            except IllegalTransition as error:
                self.fail("legal transitions", str(error))
                return
            self._happened(then, event, run)
            for broken in self.deploying.happened(event, run):
                self.fail(*broken)
        if run is None or run != after:
            self.fail(
                "the projection is the fold of the events", f"run {short(after)} at version {after.version}"
            )
            return
        self._ordered(change, run)
        for broken in self.deploying.committed(run):
            self.fail(*broken)
        self.states[run.id] = run
        self.history.setdefault(run.id, []).append((run.version, run))
        for each in outgoing(run, change.events, lambda _: ""):
            if each.topic == AGENT_REPORT:
                self.facts[(run.id, each.message.fact)] = run.version  # type: ignore[attr-defined]
        if self.world.story is not None:
            for event in change.events:
                self.world.tell(f"run {short(run)}", _said(event))

    def _happened(self, before: Run | None, event: e.Event, run: Run) -> None:
        match event:
            case e.RunCreated():
                if event.trigger in self.triggers:
                    self.fail(
                        "one run a trigger",
                        f"{event.trigger[:8]} made {short(run)} and {self.triggers[event.trigger][:4]}",
                    )
                if run.id != run_id(event.trigger):
                    self.fail("derived ids", f"run {short(run)} is not what its trigger makes")
                self.triggers[event.trigger] = run.id
            case e.StageStarted():
                self._may_start(run, event.stage)
            case e.AttemptLaunched():
                assert before is not None
                self._launched(before, event, run)
            case e.AttemptStarted():
                if event.attempt in self.workers:
                    self.fail("one job's start counts", f"{event.task} of {short(run)} started again")
                self.workers[event.attempt] = event.worker
            case e.AttemptFinished():
                self._ended(event, run)
            case e.RetryScheduled():
                self._retried(event, run)
            case _ if before is not None and before.finished and not isinstance(event, e.MessageIgnored):
                self.fail("an ended run never changes", f"{event.kind} after the end of {short(run)}")
            case _:
                pass

    def _may_start(self, run: Run, name: str) -> None:
        planned = run.planned(name)
        for need in planned.needs:
            needed = run.stages[need]
            if needed.status is not StageStatus.FINISHED or needed.blocks:
                self.fail(
                    "no stage before its needs",
                    f"{name} of {short(run)} started, {need} is {needed.status.value}",
                )
        approval = planned.approval
        if approval is not None and len({each.by for each in run.stages[name].approvals}) < approval.required:
            self.fail("no stage before its approval", f"{name} of {short(run)}")

    def _launched(self, before: Run, event: e.AttemptLaunched, run: Run) -> None:
        if event.attempt != attempt_id(run.id, event.task, event.number):
            self.fail("derived ids", f"attempt {event.number} of {event.task}")
        if event.attempt in self.attempts:
            self.fail(
                "one launch an attempt", f"attempt {event.number} of {event.task} of {short(run)} again"
            )
        self.attempts[event.attempt] = run.id
        task = before.stages[event.stage].all_tasks[event.task]
        undoing = event.task not in before.stages[event.stage].tasks
        if task.active:
            self.fail("one attempt at a time", f"{event.task} of {short(run)}")
        if task.due_at is not None and task.due_at > event.at:
            self.fail("no retry before it is due", f"{event.task} of {short(run)}")
        if before.status is not RunStatus.RUNNING and not undoing:
            self.fail(
                "nothing starts in a run that ends", f"{event.task} of {short(run)}, {before.status.value}"
            )
        limit = run.plan.parallel if run.plan else 0
        if limit and not undoing and sum(task.active for _, task in run.tasks()) > limit:
            self.fail("no more at once than allowed", f"{event.task} of {short(run)}")

    def _retried(self, event: e.RetryScheduled, run: Run) -> None:
        stage = run.stage_of(event.task)
        assert stage is not None
        task, retries = run.stages[stage].all_tasks[event.task], run.planned(stage).retries
        last = task.current
        assert last is not None
        assert last.result is not None
        if (event.budget == "infrastructure") != last.result.lost:
            self.fail("who lost it pays for the retry", f"{event.task} of {short(run)}, {event.budget}")
        tried = Counter(each.result.lost for each in task.attempts if each.result is not None)
        allowed = run.plan.infrastructure_retries if run.plan else 0
        if (
            tried[True] > allowed + 1
            or tried[False] > retries.max + 1
            or (tried[last.result.lost] > (allowed if last.result.lost else retries.max))
        ):
            self.fail(
                "no more tries than the budget", f"{event.task} of {short(run)}: {len(task.attempts)} tries"
            )

    def _ordered(self, change: Commit, run: Run) -> None:
        """What a decision gives others to do is sent in the same commit."""
        sent = Counter(dict(each.headers)["ce_type"].decode() for each in change.records)
        for event in change.events:
            wanted = ORDERS.get(type(event))
            if wanted is None:
                continue
            sent[wanted] -= 1
            if sent[wanted] < 0:
                self.fail("what is decided is sent", f"{event.kind} of {short(run)} without {wanted}")

    def _ended(self, event: e.AttemptFinished, run: Run) -> None:
        if event.attempt in self.ended:
            self.fail("one counted result an attempt", f"{event.task} of {short(run)}")
        self.ended[event.attempt] = event.by
        result = event.result
        if result.summary == "forged":
            self.fail("only results with the attempt's token count", f"{event.task} of {short(run)}")
        if result.outcome is Outcome.SUCCESS and result.outputs.get("by") != event.attempt:
            self.fail("a result counts for its own attempt", f"{event.task} of {short(run)}")
        if event.by == "agent":
            self.world.launched.ended(event, run)
        if event.by != "agent" and self.world.scenario.peaceful:
            self._too_early(event, run)

    def _too_early(self, event: e.AttemptFinished, run: Run) -> None:
        """Where nothing goes wrong, only an agent that is silent or deaf itself is given up."""
        found = run.attempt(event.attempt)
        assert found is not None
        work = self.world.work_of.get(event.attempt)
        if work is not None and work.stillborn:
            return
        if event.by == "runtime":
            self.fail("a job that has said how it ended is not lost", f"{event.task} of {short(run)}")
        if event.by == "lease" and work is not None and not work.silent:
            self.fail("who says that it lives is not lost", f"{event.task} of {short(run)}")
        unreachable = work is not None and work.silent and event.attempt in self.world.launched.of
        if event.by == "cancel" and work is not None and not work.deaf and not unreachable:
            self.fail("who is told to stop stops", f"{event.task} of {short(run)}")

    # --- now and then, in the calm ------------------------------------------------------------------

    def overdue(self) -> None:
        """Deadlines are kept: nothing that has fallen due stays as it is."""
        now = self.world.kernel.now
        for run in self.states.values():
            if run.finished:
                continue
            times = self.world.store.last_heard(
                [t.current.id for _, t in run.tasks() if t.active and t.current]
            )
            for stage, task in run.tasks():
                last = task.current
                due = None
                if task.active and last is not None:
                    mine = [
                        last.give_up_at,
                        last.launch_deadline if task.status is TaskStatus.LAUNCHED else last.deadline,
                    ]
                    mine.append(times.get(last.id))
                    due = min((each for each in mine if each is not None), default=None)
                elif stage.status is StageStatus.WAITING:
                    due = stage.expires_at
                if (
                    due is None
                    or due + timedelta(seconds=SLACK + 2 * self.world.scenario.skew) > self.world.clock()
                ):
                    continue
                key = f"{task.id}/{last.id if last else ''}"
                since = self._late.setdefault(key, now)
                if now - since > SLACK:
                    self.fail("what is due is done", f"{task.id} of {short(run)} was due at {due:%H:%M:%S}")

    def unsettled(self) -> str:
        """What still has to come to its end; empty: nothing."""
        world = self.world
        if world.busy:
            return "somebody outside has not got an answer"
        if world.working:
            return "an attempt is at work"
        if self.world.launched.living():
            return f"{self.world.launched.living()[0]} has not ended"
        waiting = [each for each in self.states.values() if not each.finished]
        if waiting:
            return f"run {short(waiting[0])} is {waiting[0].status.value}"
        if not {each.id for each in world.pushes} <= world.accepted.keys():
            return "a delivery is not accepted"
        if world.store.unpublished(limit=1):
            return "the outbox is not empty"
        topics = [each.name for each in world.topics if each.name not in (DEAD_LETTERS, AGENT_LOGS)]
        if any(world.bus.lag("functions", topics).values()):
            return "the functions have not taken all records"
        for topic in topics:
            if (
                topic.startswith("agent.")
                and topic.removeprefix("agent.") in KINDS
                and any(world.bus.lag(f"agents.{topic.removeprefix('agent.')}", [topic]).values())
            ):
                return f"the agents have not taken all records of {topic}"
        return self._unanswered()

    def _unanswered(self) -> str:
        """A delivery that was accepted and that nothing was said of yet, or a run of whose end nobody was told."""
        for id, fact in self.facts:
            if fact == FINISHED and self.world.store.find_report(id, "slack", fact) is None:
                return f"nobody has been told of the end of run {id[:4]}"
        for each in self.world.store.deliveries(limit=1000):
            if each.status in ("received", "published"):
                return f"delivery {each.id} is {each.status}"
        return ""

    # --- in the end -----------------------------------------------------------------------------------

    def at_the_end(self) -> None:
        waiting = self.unsettled()
        if waiting:
            self.fail("everything comes to its end", waiting)
            return
        for name, text in Ending(self).checks():
            self.fail(name, text)


def _said(event: e.Event) -> str:
    """The event as a sentence."""
    words = event.kind.replace("_", " ")
    about = [
        str(getattr(event, name))
        for name in ("stage", "task", "number", "by", "reason", "outcome")
        if getattr(event, name, "") not in ("", None)
    ]
    if isinstance(event, e.AttemptFinished):
        about.append(f"{event.result.outcome.value} {event.result.summary}")
    return f"{words}: {', '.join(about)}" if about else words


__all__ = ["Broken", "Plan", "Watch"]
