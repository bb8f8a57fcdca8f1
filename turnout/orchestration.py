"""The use cases of the orchestrator: load → decide → record → publish.

One message is handled in one transaction of the store: the inbox entry, the new events, the projection and the
outbox are written together or not at all. What the outbox holds is published after that, and only then does `handle`
return, so that the caller's acknowledgement means: durable here, and on the bus.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from turnout.attesting import Attesting
from turnout.core import messages as m
from turnout.core.attestation import Attestation
from turnout.core.change import Change
from turnout.core.decider import Decidable, Forged, JobEnded, StartRun, Tick, decided, due_at
from turnout.core.envelope import Envelope, Record
from turnout.core.environments import Turns, awaited, deploys, of_plan, turns
from turnout.core.errors import (
    Conflict,
    Duplicate,
    InvalidConfig,
    InvalidEnvelope,
    Newer,
    NotFound,
    PermanentError,
    Problem,
    TransientError,
)
from turnout.core.events import Carried, Event, Timing
from turnout.core.ids import message_id, run_id
from turnout.core.model import Outcome
from turnout.core.nothing import Nothing, no_rerun
from turnout.core.outgoing import SOURCE, Outgoing, last_report, outgoing, task_request
from turnout.core.overtaking import outdated
from turnout.core.plan import ConfigProblem, NotTriggered, Plan
from turnout.core.policy import attempt_token, verify_token
from turnout.core.ports import Clock, Commit, Delivery, EnvironmentRow, OutboxRow, Producer, Store
from turnout.core.proposal import Proposal
from turnout.core.run import Run, RunStatus, StageStatus, TaskStatus
from turnout.core.topics import PIPELINE_EVENTS
from turnout.publishing import publish

MAX_CONFLICTS = 20
GROUP_CHECK = timedelta(seconds=15)
UNPUBLISHED_AFTER = timedelta(seconds=5)

Planner = Callable[[m.RunRequested], "Planned"]
"""Reads the pipeline file of a change and plans it. Raises: TransientError, InvalidConfig, NotFound."""


_Changing = (
    m.CancelRun
    | m.SupersedeRun
    | m.ReleaseRun
    | m.EnvironmentFree
    | m.Approve
    | m.Reject
    | m.TaskStarted
    | m.TaskFinished
)


@dataclass(frozen=True, slots=True)
class Planned:
    """A plan, or the reason why nothing is to run, with the project that serves the repository and the change as
    the planner knows it now (where to clone it from, which files changed). ``proposal``: what it would change of the
    pipeline file, None: nothing."""

    project: str
    plan: Plan | NotTriggered
    change: Change
    proposal: Proposal | None = None


class BrokenFile(InvalidConfig):
    """``change``: as the planner knows it, which found what is wrong in its pipeline file."""

    def __init__(self, problems: Sequence[Problem], change: Change) -> None:
        super().__init__(problems)
        self.change = change


class NoProject(NotFound):
    """``why``: what to do about it."""

    def __init__(self, why: Nothing) -> None:
        super().__init__(why.reason)
        self.why = why


@dataclass(frozen=True, slots=True)
class Handled:
    """``run``: the state after the message, None when it made none. ``events``: what was decided now."""

    run: Run | None
    events: tuple[Event, ...] = ()
    duplicate: bool = False
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Decided:
    """``after``: the run as the events leave it. ``there``: whose deploys were in the environments then."""

    events: tuple[Event, ...]
    after: Run
    there: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Orchestrator:
    """``producer`` is None where the store's outbox is the log. ``key``: the server's key for attempt tokens.

    ``attesting`` None: nothing is signed. ``on_due`` is told when a run must be looked at again, for a timer of the
    process's own; ``on_decided`` the state after what was decided, once that is durable.
    """

    store: Store
    producer: Producer | None
    planner: Planner
    clock: Clock
    key: bytes
    timing: Timing = field(default_factory=Timing)
    attesting: Attesting | None = None
    on_due: Callable[[str, datetime], None] = field(default=lambda _run, _at: None)
    on_decided: Callable[[Run, Sequence[Event]], None] = field(default=lambda _run, _events: None)

    # --- messages ---------------------------------------------------------------------------

    def handle(self, envelope: Envelope) -> Handled:
        """Answer one message of the bus.

        Raises: InvalidEnvelope (dead letter), TransientError (redeliver); a duplicate is no error.
        """
        message = m.parse(envelope)
        match message:
            case m.TaskHeartbeat():
                return self._heartbeat(message)
            case m.RunRequested() | m.RerunRun():
                return self._start(envelope.id, message)
            case _ if isinstance(message, _Changing):
                return self._change(envelope.id, message)
            case _:
                raise InvalidEnvelope(f"type: {message.type} is no message for the orchestrator")

    def tick(self, run: str, *, heard: bool = False) -> Handled:
        """Let time pass for one run: due retries, expired approvals, its turn in a group.

        ``heard``: agents could be heard of late, so that those that have said nothing are lost.
        """
        return self._decide("", run, self._turn(run), heard=heard)

    def sweep(self, *, heard: bool = True) -> int:
        """Whatever is overdue, and whatever a crash left unpublished. The number of things done.

        ``heard`` as in `tick`.

        Raises: TransientError; PermanentError or Newer when a run can't be decided on, after everything else has been
        done.
        """
        now = self.clock.now()
        done = 0
        broken: list[PermanentError | Newer] = []
        for run in self.store.due(now):
            try:
                done += bool(self.tick(run, heard=heard).events)
            except (PermanentError, Newer) as error:
                broken.append(error)
        if self.producer is not None:
            done += self._publish(self.store.unpublished(older_than=now - UNPUBLISHED_AFTER))
        if broken:
            raise broken[0]
        return done

    def job_ended(self, run: str, attempt: str, reason: str) -> Handled:
        """The attempt is lost, unless it has ended: its runtime says that nothing more comes of it. Idempotent."""
        return self._decide("", run, JobEnded(attempt=attempt, reason=reason))

    def resend(self, run: str) -> int:
        """Send again the tasks of attempts that were launched and have not started: the topics may have been wiped.

        Same envelope ids as before: an agent that has them already drops them. The number of tasks sent; none where the
        outbox is the log, since there they can't be lost.
        """
        state = self.store.load(run)
        if state is None:
            raise NotFound(f"no run {run}")
        if self.producer is None:
            return 0
        waiting = [
            self._filled(task_request(state, task.current.id, self._sign), state)
            for _, task in state.tasks()
            if task.status is TaskStatus.LAUNCHED and task.current is not None
        ]
        return self._send(waiting)

    def retell(self, run: str) -> int:
        """Send again that a run has ended: nobody has been told. 1, or 0 where the outbox is the log."""
        state = self.store.load(run)
        if state is None:
            raise NotFound(f"no run {run}")
        return self._send([last_report(state)]) if self.producer is not None and state.finished else 0

    def republish(self, rows: Sequence[OutboxRow]) -> int:
        """Send records again that nobody has answered. Where the outbox is the log they are still there."""
        return self._publish(rows) if self.producer is not None else 0

    # --- one message, one transaction ---------------------------------------------------------

    def _change(self, inbox: str, message: _Changing) -> Handled:
        if isinstance(message, m.TaskStarted | m.TaskFinished) and not verify_token(
            self.key, message.attempt, message.token
        ):
            forged = Forged(message=message.type, attempt=message.attempt)
            return self._decide(inbox, message.run, forged)
        return self._decide(inbox, message.run, message)

    def _decide(self, inbox: str, run: str, message: Decidable | None, *, heard: bool = False) -> Handled:
        """``message`` None: a tick. Decides again when another process was faster.

        Whether the message has been handled before is not asked first: the commit says so, and few have.
        """
        for _ in range(MAX_CONFLICTS):
            before = self.store.load(run)
            if before is None:
                if inbox and self.store.seen(inbox):
                    return self._duplicate(run)
                raise NotFound(f"no run {run}", "it may have been started on another store")
            now = self.clock.now()
            asked = message if message is not None else self._tick_of(before, heard=heard)
            decision = self._decided(before, asked, now)
            if not decision.events and not inbox:
                self._look_again_later(before, now)
                return Handled(before)
            try:
                return self._commit(inbox, before, decision, now)
            except Conflict:
                continue
            except Duplicate:
                return self._duplicate(run)
        raise TransientError(f"run {run}: {MAX_CONFLICTS} other writers were faster")

    def _decided(self, before: Run | None, message: Decidable, now: datetime) -> _Decided:
        """Who is at the environments is asked only where something would be deployed."""
        events, after = decided(before, message, now)
        assert after is not None, "only a message that makes a run is decided on without one"
        if not deploys(before, events):
            return _Decided(events, after)
        rows = self.store.environments(after.project, of_plan(after.plan))
        there = {name: row.deployed for name, row in rows.items() if row.deployed}
        newer = {name: run for name, run in there.items() if self._is_newer(run, after)}
        events, after = decided(before, message, now, _taken(after, rows), newer)
        assert after is not None
        return _Decided(events, after, there)

    def _is_newer(self, deployed: str, run: Run) -> bool:
        other = self.store.load(deployed) if deployed != run.id else None
        return other is not None and outdated(run, other)

    def _look_again_later(self, run: Run, now: datetime) -> None:
        """A run that waits for others is looked at once in a while, and keeps nobody else from it."""
        if run.status is not RunStatus.QUEUED and not awaited(run):
            return
        due = self._due(run, now)
        try:
            self.store.commit(Commit(run, run.version, (), (), now, due_at=due))
        except Conflict:
            return  # somebody else has just looked

    def _due(self, run: Run, now: datetime) -> datetime | None:
        due = due_at(run)
        if run.status is RunStatus.QUEUED:
            return now + GROUP_CHECK
        return min(due or now + GROUP_CHECK, now + GROUP_CHECK) if awaited(run) else due

    def _turn(self, run: str) -> m.ReleaseRun | None:
        """The release of a run that waits for others of its group, none of which is left: their word was lost."""
        state = self.store.load(run)
        if state is None or state.status is not RunStatus.QUEUED or state.plan is None:
            return None
        group = state.plan.concurrency
        ahead = self.store.group_runs(state.project, group.group) if group else ()
        if ahead and ahead[0].id != run:
            return None
        return m.ReleaseRun(run=run, after=state.held_by[-1])

    def _tick_of(self, run: Run, *, heard: bool) -> Tick:
        active = [task.current.id for _, task in run.tasks() if task.active and task.current is not None]
        return Tick(leases=dict(self.store.last_heard(active)), deaf=not heard)

    def _commit(self, inbox: str, before: Run | None, decision: _Decided, now: datetime) -> Handled:
        events, after = decision.events, decision.after
        signed = self.attesting.sign(after, events) if self.attesting is not None else ()
        told = outgoing(after, events, self._sign)
        records = [self._record(self._filled(each, after, signed), now) for each in told]
        records += self._for_the_group(before, after, now)
        due = self._due(after, now)
        changed = turns(before, after)
        if changed:
            records += self._for_the_next(after, changed, now)
        rows = self.store.commit(
            Commit(
                run=after,
                expected=before.version if before else 0,
                events=events,
                records=tuple(records),
                at=now,
                inbox=inbox,
                due_at=due,
                leases=self._leases(before, after, now),
                delivery=_delivery_of(after, now) if before is None else None,
                turns=changed,
                deployed=decision.there,
                attestations=signed,
            )
        )
        self._publish(rows)
        if due is not None:
            self.on_due(after.id, due)
        self.on_decided(after, events)
        return Handled(after, events)

    def _leases(self, before: Run | None, after: Run, now: datetime) -> dict[str, datetime]:
        """Attempts that have started since ``before`` get a lease."""
        old = {task.id: task.status for _, task in before.tasks()} if before else {}
        return {
            task.current.id: now + timedelta(seconds=after.timing.lease)
            for _, task in after.tasks()
            if task.status is TaskStatus.STARTED
            and task.current is not None
            and (old.get(task.id) is not TaskStatus.STARTED)
        }

    def _duplicate(self, run: str) -> Handled:
        """Handled before; what a crash may have left unpublished for the run is published first."""
        if self.producer is not None:
            self._publish(self.store.unpublished(run))
        return Handled(self.store.load(run), duplicate=True)

    def _heartbeat(self, beat: m.TaskHeartbeat) -> Handled:
        if verify_token(self.key, beat.attempt, beat.token):
            now = self.clock.now()
            self.store.heartbeat(beat.attempt, now, now + timedelta(seconds=self.timing.lease))
        return Handled(None)

    # --- starting a run -----------------------------------------------------------------------

    def _start(self, inbox: str, message: m.RunRequested | m.RerunRun) -> Handled:
        run = run_id(message.trigger)
        if self.store.seen(inbox):
            return self._duplicate(run)
        for _ in range(MAX_CONFLICTS):
            now = self.clock.now()
            before = self.store.load(run)
            if before is None:
                start = self._prepare(run, message)
                if isinstance(start, Nothing):
                    return self._nothing(inbox, run, message, start, now)
                decision = self._decided(None, start, now)
            else:
                decision = self._decided(before, _again(before), now)
            try:
                return self._commit(inbox, before, decision, now)
            except Conflict:
                continue
            except Duplicate:
                return self._duplicate(run)
        raise TransientError(f"run {run}: {MAX_CONFLICTS} other writers were faster")

    def _prepare(self, run: str, message: m.RunRequested | m.RerunRun) -> StartRun | Nothing:
        """The start of the run, or why nothing is to run."""
        if isinstance(message, m.RerunRun):
            return self._prepare_rerun(run, message)
        if message.reason:
            return Nothing(reason=message.reason)
        start = StartRun(
            run=run,
            trigger=message.trigger,
            delivery=message.delivery,
            project=message.change.repository,
            change=message.change,
            plan=None,
            requested_by=message.requested_by,
            timing=self.timing,
        )
        try:
            planned = self.planner(message)
        except InvalidConfig as error:
            problems = tuple(ConfigProblem.of(problem) for problem in error.problems)
            change = error.change if isinstance(error, BrokenFile) else message.change
            return start.with_(change=change, problems=problems, reason="the pipeline file is not valid")
        except NotFound as error:
            return error.why if isinstance(error, NoProject) else Nothing(reason=str(error))
        if isinstance(planned.plan, NotTriggered):
            return planned.plan
        return self._held(
            start.with_(
                project=planned.project,
                plan=planned.plan,
                change=planned.change,
                proposal=planned.proposal,
            )
        )

    def _held(self, start: StartRun) -> StartRun:
        """A run of a group that lets the older one finish waits for it."""
        group = start.plan.concurrency if start.plan else None
        if group is None or group.cancel_superseded:
            return start
        older = self.store.group_runs(start.project, group.group)
        return start.with_(held_by=tuple(row.id for row in older if row.id != start.run))

    def _prepare_rerun(self, run: str, message: m.RerunRun) -> StartRun | Nothing:
        old = self.store.load(message.run)
        if old is None:
            raise NotFound(f"no run {message.run}", "it may have been started on another store")
        if not old.finished:
            return no_rerun(old.id, "has not finished; cancel it first", "the run had ended")
        if old.plan is None:
            said = "has no plan (its pipeline file was not valid); push a fix instead"
            return no_rerun(old.id, said, "its pipeline file had been valid")
        if message.mode == "stage" and message.stage not in old.stages:
            of = f"one of its stages were named: {', '.join(old.stages)}"
            return no_rerun(old.id, f"has no stage {message.stage!r}", of)
        return self._held(
            StartRun(
                run=run,
                trigger=message.trigger,
                delivery=message.delivery,
                project=old.project,
                change=old.change,
                plan=old.plan,
                requested_by=message.by,
                rerun_of=old.id,
                rerun_mode=message.mode,
                carried=carried_stages(old, message.mode, message.stage),
                timing=self.timing,
                proposal=old.proposal,
            )
        )

    def _nothing(
        self, inbox: str, run: str, message: m.RunRequested | m.RerunRun, why: Nothing, now: datetime
    ) -> Handled:
        """Nothing is to run: the delivery gets the reason, and there is no run."""
        about = self.store.load(message.run) if isinstance(message, m.RerunRun) else message
        delivery = _delivery(message, about.change, now, "ignored", why=why.bare) if about else None
        try:
            self.store.commit(Commit(None, 0, (), (), now, inbox=inbox, delivery=delivery))
        except Duplicate:
            return self._duplicate(run)
        return Handled(None, reason=why.reason)

    def _for_the_group(self, before: Run | None, after: Run, now: datetime) -> list[Record]:
        """A run that begins supersedes the others of its group, or is superseded where one is of a newer change.
        One that ends lets the next one go."""
        group = after.plan.concurrency if after.plan else None
        if group is None:
            return []
        if before is None and group.cancel_superseded and not after.finished:
            others = [r.id for r in self.store.group_runs(after.project, group.group) if r.id != after.id]
            newer = next((other for other in others if self._is_newer(other, after)), "")
            late = [(after.id, newer)] if newer else [(other, after.id) for other in others]
            return [self._to_run(run, m.SupersedeRun(run=run, newer=by), after, now) for run, by in late]
        if after.finished and not (before and before.finished):
            waiting = [r for r in self.store.group_runs(after.project, group.group) if r.id != after.id]
            if waiting and waiting[0].status == "queued":
                first = waiting[0].id
                return [self._to_run(first, m.ReleaseRun(run=first, after=after.id), after, now)]
        return []

    def _for_the_next(self, after: Run, changed: Turns, now: datetime) -> list[Record]:
        """Who has waited longest for what is free now is told; the sweeper sees to who began to wait in between."""
        if not changed.freed:
            return []
        found: list[Record] = []
        for name, row in self.store.environments(after.project, changed.freed).items():
            waiting = next((id for id, _ in row.waiting if id != after.id), "")
            if waiting:
                free = m.EnvironmentFree(run=waiting, environment=name, after=after.id)
                id = message_id(free.type, waiting, name, after.id, after.version)
                found.append(self._record(Outgoing(PIPELINE_EVENTS, after.change.repository, id, free), now))
        return found

    def _to_run(self, run: str, message: m.Message, cause: Run, now: datetime) -> Record:
        id = message_id(message.type, run, cause.id)
        return self._record(Outgoing(PIPELINE_EVENTS, cause.change.repository, id, message), now)

    # --- the bus --------------------------------------------------------------------------------

    def _send(self, messages: Sequence[Outgoing]) -> int:
        """Through the outbox, apart from any decision; how many."""
        now = self.clock.now()
        records = tuple(self._record(each, now) for each in messages)
        self._publish(self.store.commit(Commit(None, 0, (), records, now)))
        return len(records)

    def _filled(self, each: Outgoing, run: Run, fresh: Sequence[Attestation] = ()) -> Outgoing:
        """With what is attested of the images that a task may deploy; ``fresh``: signed now."""
        if self.attesting is None or not isinstance(each.message, m.TaskRequested):
            return each
        return replace(each, message=self.attesting.fill(each.message, run, fresh))

    def _record(self, each: Outgoing, now: datetime) -> Record:
        return m.wrap(each.message, id=each.id, source=SOURCE, at=now).to_record(each.topic, each.key)

    def _publish(self, rows: Sequence[OutboxRow]) -> int:
        return publish(rows, self.store, self.producer, self.clock)

    def _sign(self, attempt: str) -> str:
        return attempt_token(self.key, attempt)


def carried_stages(old: Run, mode: str, stage: str = "") -> dict[str, Carried]:
    """The stages that a rerun takes over instead of running them again; what was rolled back is not there any more."""
    match mode:
        case "whole":
            kept = []
        case "stage":
            kept = [each for each in old.stages.values() if each.name != stage]
        case _:
            kept = [each for each in old.stages.values() if not each.blocks]
    return {
        each.name: Carried(outcome=each.outcome or Outcome.SKIPPED, outputs=each.outputs, blocked=False)
        for each in kept
        if each.status is StageStatus.FINISHED and not (each.rollback and mode == "failed")
    }


def _taken(run: Run, rows: Mapping[str, EnvironmentRow]) -> Mapping[str, str]:
    """Environments that others hold, or have waited for since before the run was created."""
    found: dict[str, str] = {}
    for name, row in rows.items():
        ahead = (id for id, at in row.waiting if id != run.id and (at, id) < (run.created_at, run.id))
        other = row.holder if row.holder != run.id else ""
        first = other or next(ahead, "")
        if first:
            found[name] = first
    return found


def _again(run: Run) -> StartRun:
    return StartRun(run=run.id, trigger=run.trigger, project=run.project, change=run.change, plan=run.plan)


def _delivery(
    message: m.RunRequested | m.RerunRun,
    change: Change,
    now: datetime,
    status: str,
    *,
    run: str = "",
    why: Nothing | None = None,
) -> Delivery | None:
    if not message.delivery:
        return None
    return Delivery(
        id=message.delivery,
        source="github",
        event=change.kind.value,
        repository=change.repository,
        received_at=now,
        message=message.trigger,
        status=status,
        reason=why.reason if why is not None else "",
        run=run,
        sha=change.sha,
        why=why,
    )


def _delivery_of(run: Run, now: datetime) -> Delivery | None:
    message = m.RunRequested(trigger=run.trigger, change=run.change, delivery=run.delivery)
    return _delivery(message, run.change, now, "run", run=run.id)
