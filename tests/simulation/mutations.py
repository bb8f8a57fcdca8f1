"""Defects, planted one at a time: each takes away one thing that holds a promise. The simulator must find them all.

A plant changes production code (or the twin that stands for it) in memory, for the time of a ``with``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, cast

import pytest

from agents.sdk import consuming
from tests.simulation.faults import Fault
from tests.simulation.machines import HomeClaims
from tests.simulation.mutations_deploying import DEPLOYING, RECONCILING, deploys, has_jobs
from tests.simulation.mutations_launched import LAUNCHED, has_gated_jobs
from tests.simulation.playing import Played, play_all
from tests.simulation.scenario import Scenario, scenario
from turnout import dispatcher, orchestration, webhook
from turnout.adapters import memory_store
from turnout.adapters.memory_books import MemoryMissed
from turnout.adapters.memory_store import MemoryStore
from turnout.core import advance, decider, inflight, outgoing, posting
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.errors import TransientError
from turnout.core.ids import derive
from turnout.core.policy import Retry, retry_after
from turnout.core.ports import Commit, Delivery, OutboxRow, ReportRow
from turnout.core.run import StageStatus, TaskStatus
from turnout.dispatcher import Dispatcher
from turnout.orchestration import Orchestrator
from turnout.publishing import publish
from turnout.redelivering import Redelivering
from turnout.reporting import ledger
from turnout.webhook import Answer, Webhook

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]
PLANTS: dict[str, Plant] = {}
"""Sentence to what it does."""


def _plant(sentence: str) -> Callable[[Plant], Plant]:
    def add(plant: Plant) -> Plant:
        PLANTS[sentence] = plant
        return plant

    return add


@contextmanager
def planted(sentence: str) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        PLANTS[sentence](patch)
        yield


@dataclass(frozen=True, slots=True)
class Found:
    """``seeds``: how many worlds were played; ``played``: the one that failed, None: none did."""

    seeds: int
    played: Played | None


PLANTS.update(LAUNCHED | DEPLOYING | RECONCILING)
CONCERNED: dict[str, Callable[[Scenario], bool]] = {
    **dict.fromkeys(LAUNCHED, has_gated_jobs),
    **dict.fromkeys(DEPLOYING, deploys),
    **dict.fromkeys(RECONCILING, has_jobs),
    "the sweeper does not ask GitHub for what it could not deliver": lambda world: world.once,
    "a delivery counts as come once it was received": lambda world: world.once,
    "what the webhook knew overwrites what became of a delivery": lambda world: (
        not world.embedded and world.rates.get(Fault.SLOW, 0.0) >= 0.01
    ),
}
"""Worlds in which a defect can show."""


def look_for(sentence: str, limit: int, first: int = 0) -> Found:
    """Play worlds with this defect in them until one fails; of one that concerns launched jobs or deploys alone, those
    that have any."""
    worlds: Iterable[int] = itertools.count(first)
    concerned = CONCERNED.get(sentence)
    if concerned is not None:
        worlds = (seed for seed in worlds if concerned(scenario(seed)))
    with planted(sentence):
        total = play_all(itertools.islice(worlds, limit), lambda played: played.broken is not None)
    return Found(total.seeds, total.broken[0] if total.broken else None)


# --- the store ------------------------------------------------------------------------------------


@_plant("there is no inbox: a message that comes twice is handled twice")
def _no_inbox(patch: Patch) -> None:
    check = MemoryStore._check
    patch.setattr(MemoryStore, "seen", lambda _self, _message: False)
    patch.setattr(MemoryStore, "_check", lambda self, change: check(self, replace(change, inbox="")))


@_plant("a commit does not look at the version it was decided on")
def _no_version(patch: Patch) -> None:
    check = MemoryStore._check
    patch.setattr(
        MemoryStore,
        "_check",
        lambda self, change: check(self, replace(change, run=None, events=(), expected=0)),
    )


@_plant("the projection is not written with the events")
def _stale_projection(patch: Patch) -> None:
    write = MemoryStore._write_run

    def stale(self: MemoryStore, change: Commit, run: Any) -> None:
        before = self._runs.get(run.id)
        write(self, change, run)
        if before is not None and run.finished:
            self._runs[run.id] = before

    patch.setattr(MemoryStore, "_write_run", stale)


@_plant("runs are never found to be due")
def _never_due(patch: Patch) -> None:
    patch.setattr(MemoryStore, "due", lambda _self, _now, limit=100: [])
    patch.setattr(orchestration.Orchestrator, "on_due", lambda _self, _run, _at: None, raising=False)


@_plant("what the webhook knew overwrites what became of a delivery")
def _statuses_in_any_order(patch: Patch) -> None:
    patch.setattr(memory_store, "merged", lambda _known, news: news)


@_plant("the sweeper does not ask GitHub for what it could not deliver")
def _never_asked(patch: Patch) -> None:
    patch.setattr(Redelivering, "_ask", lambda _self, _now: 0)


@_plant("a delivery counts as come once it was received")
def _received_is_enough(patch: Patch) -> None:
    def known(self: MemoryMissed, guids: Any) -> Any:
        return {each.id for each in self._store.all_deliveries() if each.id in guids}

    patch.setattr(MemoryMissed, "known", known)


# --- the orchestration ------------------------------------------------------------------------------


@_plant("records are published before the commit that they follow from")
def _publish_before_commit(patch: Patch) -> None:
    commit = Orchestrator._commit

    class Eager:
        def __init__(self, orchestrator: Orchestrator) -> None:
            self._orchestrator = orchestrator

        def __getattr__(self, name: str) -> Any:
            return getattr(self._orchestrator.store, name)

        def commit(self, change: Commit) -> Sequence[OutboxRow]:
            if self._orchestrator.producer is not None:
                self._orchestrator.producer.publish(change.records)
            return self._orchestrator.store.commit(change)

    def early(self: Orchestrator, *more: Any) -> Any:
        return commit(replace(self, store=cast(Any, Eager(self))), *more)

    patch.setattr(Orchestrator, "_commit", early)


@_plant("records are marked as published before they are")
def _mark_before_publish(patch: Patch) -> None:
    def early(rows: Sequence[OutboxRow], store: Any, producer: Any, clock: Any) -> int:
        if rows and producer is not None:
            store.mark_published([each.id for each in rows], clock.now())
            producer.publish([each.record for each in rows])
        return len(rows)

    patch.setattr(orchestration, "publish", early)


@_plant("a message is acknowledged though what follows from it could not be published, and nobody sweeps")
def _acknowledge_before_publish(patch: Patch) -> None:
    def careless(*more: Any) -> int:
        try:
            return publish(*more)
        except TransientError:
            return 0

    patch.setattr(orchestration, "publish", careless)
    patch.setattr(orchestration, "UNPUBLISHED_AFTER", timedelta(days=1000))


@_plant("the outbox is never swept")
def _never_swept(patch: Patch) -> None:
    patch.setattr(orchestration, "UNPUBLISHED_AFTER", timedelta(days=1000))


@_plant("nobody looks at tokens")
def _no_tokens(patch: Patch) -> None:
    patch.setattr(orchestration, "verify_token", lambda *_: True)


@_plant("leases do not end")
def _no_lease(patch: Patch) -> None:
    patch.setattr(Orchestrator, "_tick_of", lambda _self, _run, heard: decider.Tick())


@_plant("a heartbeat does not extend the lease")
def _heartbeat_unheard(patch: Patch) -> None:
    patch.setattr(Orchestrator, "_heartbeat", lambda _self, _beat: orchestration.Handled(None))


@_plant("a run's id is not derived from its trigger")
def _random_run_ids(patch: Patch) -> None:
    count = itertools.count()
    patch.setattr(orchestration, "run_id", lambda trigger: derive("run", trigger, next(count)))


@_plant("the next run of a group is not let go")
def _no_release(patch: Patch) -> None:
    group = Orchestrator._for_the_group
    patch.setattr(Orchestrator, "_turn", lambda _self, _run: None)
    patch.setattr(
        Orchestrator,
        "_for_the_group",
        lambda self, before, after, now: [] if after.finished else group(self, before, after, now),
    )


@_plant("the orchestrator's own deadline for attempts that nobody starts is off")
def _no_launch_deadline(patch: Patch) -> None:
    expire = decider._expire_attempt

    def patient(d: Any, task: Any, leases: Any, heard: Any) -> None:
        if task.status is not TaskStatus.LAUNCHED or task.current.give_up_at is not None:
            expire(d, task, leases, heard)

    patch.setattr(decider, "_expire_attempt", patient)


# --- the decider --------------------------------------------------------------------------------------


@_plant("a late result of an older attempt counts for the newer one")
def _no_fencing(patch: Patch) -> None:
    def finished(d: Any, message: m.TaskFinished) -> None:
        found = d.run.attempt(message.attempt)
        if found is not None and found[1].active:
            decider._end_attempt(d, found[1].id, found[1].current.id, "agent", message.result)
        else:
            d.ignore(message.type, "too late", attempt=message.attempt)

    patch.setattr(decider, "_finished", finished)


@_plant("stages start without what they need")
def _no_needs(patch: Patch) -> None:
    open_stage = advance._open_stage

    def eager(d: Any, stage: Any) -> None:
        planned = d.run.planned(stage.name)
        if stage.status is StageStatus.PENDING and not advance._stopping(d.run) and planned.approval is None:
            d.emit(e.StageStarted(at=d.now, stage=stage.name))
            advance._settle_tasks(d, stage.name)
        else:
            open_stage(d, stage)

    patch.setattr(advance, "_open_stage", eager)


@_plant("a retry does not wait until it is due")
def _hasty_retry(patch: Patch) -> None:
    may = advance._may_launch
    patch.setattr(
        advance,
        "_may_launch",
        lambda d, name, task: task.status is TaskStatus.RETRYING or may(d, name, task),
    )


@_plant("retries cost nothing")
def _endless_retries(patch: Patch) -> None:
    retry = retry_after
    patch.setattr(
        advance,
        "retry_after",
        lambda run, stage, task, result: retry(run, stage, task.with_(retries=0, lost=0), result),
    )


@_plant("a lost attempt is paid from the pipeline's own budget, which it may exceed")
def _wrong_budget(patch: Patch) -> None:
    retry = retry_after
    patch.setattr(
        advance,
        "retry_after",
        lambda run, stage, task, result: (
            Retry("pipeline", 0.0) if result.lost and task.retries < 5 else retry(run, stage, task, result)
        ),
    )


@_plant("one person can approve twice")
def _approved_twice(patch: Patch) -> None:
    approve = decider._approve

    def lax(d: Any, message: m.Approve) -> None:
        stage = d.run.stages.get(message.stage)
        wanted = d.run.planned(message.stage).approval if stage else None
        if stage is not None and wanted is not None and stage.status is StageStatus.WAITING:
            complete = len(stage.approvals) + 1 >= wanted.required
            d.emit(e.StageApproved(at=d.now, stage=stage.name, by=message.by, complete=complete))
        else:
            approve(d, message)

    patch.setattr(decider, "_approve", lax)


@_plant("more attempts run at once than the pipeline allows")
def _no_limit(patch: Patch) -> None:
    for each in (advance, decider):
        patch.setattr(each, "has_room", lambda _run: True)


@_plant("agents are not told to stop")
def _no_cancel(patch: Patch) -> None:
    of = outgoing._of

    def silent(run: Any, event: e.Event, version: int, sign: Any) -> Iterator[Any]:
        return iter(()) if isinstance(event, e.CancelOrdered) else of(run, event, version, sign)

    patch.setattr(outgoing, "_of", silent)


# --- the webhook, the dispatcher, the agents ------------------------------------------------------------


@_plant("a delivery's message has another id each time, and deliveries are not remembered")
def _deliveries_unknown(patch: Patch) -> None:
    count = itertools.count()
    patch.setattr(webhook, "delivery_message_id", lambda *cause: derive("delivery", *cause, next(count)))

    def forgetful(self: MemoryStore, delivery: Delivery) -> Delivery:
        self._deliveries[(delivery.source, delivery.id)] = delivery
        return delivery

    patch.setattr(MemoryStore, "receive", forgetful)


@_plant("the webhook says yes before the delivery is recorded")
def _hasty_yes(patch: Patch) -> None:
    accept = Webhook._accept

    def hasty(self: Webhook, event: str, delivery: str, found: Any) -> Answer:
        try:
            return accept(self, event, delivery, found)
        except TransientError:
            return Answer(202, {})

    patch.setattr(Webhook, "_accept", hasty)


@_plant("an offset is committed before its record is done")
def _early_offsets(patch: Patch) -> None:
    patch.setattr(inflight._Owned, "position", lambda self: self.following)


@_plant("the dispatcher passes over a record that failed")
def _passes_over(patch: Patch) -> None:
    patch.setattr(Dispatcher, "_retry", lambda self, ticket, _verdict: self._done(ticket, delivered=False))


@_plant("the dispatcher gives up at the first failure")
def _gives_up(patch: Patch) -> None:
    judge = posting.judge

    def impatient(reply: Any, counted: int, patience: Any) -> Any:
        verdict = judge(reply, counted, patience)
        return posting.GiveUp(verdict.reason, 0) if isinstance(verdict, posting.TryAgain) else verdict

    patch.setattr(dispatcher, "judge", impatient)


@_plant("the dispatcher forgets a record for which the dead letter could not be written")
def _letters_lost(patch: Patch) -> None:
    patch.setattr(Dispatcher, "_bury", lambda _self, _ticket, _verdict: True)


@_plant("an agent does not look whether an attempt is claimed")
def _no_claims(patch: Patch) -> None:
    def grab(self: HomeClaims, attempt: str, worker: str) -> bool:
        claim = self._found(attempt)
        claim.state, claim.owner = "claimed", self._me
        return True

    patch.setattr(HomeClaims, "claim", grab)


@_plant("an agent begins before the position of its task is committed")
def _no_commit_fence(patch: Patch) -> None:
    start = consuming.Consuming._start

    class Uncommitted:
        def commit(self, _positions: object) -> None: ...

    def loose(self: consuming.Consuming, _consumer: Any, entry: Any) -> bool:
        return start(self, cast(Any, Uncommitted()), entry)

    patch.setattr(consuming.Consuming, "_start", loose)


@_plant("what a dead worker was running is not spoken for, and its lease does not end")
def _orphans_forgotten(patch: Patch) -> None:
    patch.setattr(HomeClaims, "orphans", lambda _self: [])
    patch.setattr(Orchestrator, "_tick_of", lambda _self, _run, heard: decider.Tick())


# --- reports ----------------------------------------------------------------------------------------------


@_plant("a message to people is sent without being reserved")
def _no_reservation(patch: Patch) -> None:
    def always(self: MemoryStore, report: ReportRow) -> None:
        self.record_report(report)

    patch.setattr(MemoryStore, "reserve_report", always)


@_plant("a message to people is recorded as sent before it is")
def _recorded_before_sent(patch: Patch) -> None:
    attempt = ledger.Ledger._try

    def early(self: Any, fact: str, row: ReportRow, first: Any, do: Any, find: Any) -> str:
        self.reports.record_report(replace(row, status=ledger.SENT, reference="C:0"))
        return attempt(self, fact, row, first, do, find)

    patch.setattr(ledger.Ledger, "_try", early)


@_plant("who takes over a message to people does not look whether it is there")
def _not_looked_for(patch: Patch) -> None:
    attempt = ledger.Ledger._try
    patch.setattr(
        ledger.Ledger,
        "_try",
        lambda self, fact, row, first, do, _find: attempt(self, fact, row, first, do, None),
    )
