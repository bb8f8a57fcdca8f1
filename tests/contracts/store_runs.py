"""Runs to be stored: small lives of runs, made of real events by the core's own `replay`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

from turnout.core import events as e
from turnout.core.change import Change
from turnout.core.envelope import Envelope, Record
from turnout.core.evolve import replay
from turnout.core.ids import attempt_id, derive
from turnout.core.model import ChangeKind, Outcome
from turnout.core.plan import Concurrency, Plan, PlannedStage, PlannedTask
from turnout.core.ports import Commit, Delivery, OutboxRow, Store
from turnout.core.result import Result
from turnout.core.run import Run
from turnout.core.topics import AGENT_REPORT, PIPELINE_EVENTS, agent_topic

T0 = datetime(2026, 11, 3, 9, 30, 0, 123456, tzinfo=UTC)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def run_id(name: str) -> str:
    return derive("run", name)


def attempt_of(name: str, number: int = 1) -> str:
    return attempt_id(run_id(name), "unit", number)


def a_change(branch: str = "main", title: str = "Mend the gate", **more: object) -> Change:
    return Change(
        kind=ChangeKind.PUSH,
        repository="acme/shop",
        clone_url="https://example.org/acme/shop.git",
        ref=f"refs/heads/{branch}",
        sha="5" * 40,
        branch=branch,
        author="ada",
        title=title,
    ).with_(**more)


def a_plan(project: str = "acme/shop", group: str = "") -> Plan:
    stages = (
        PlannedStage(name="unit", agent="test", tasks=(PlannedTask(id="unit"),)),
        PlannedStage(name="ship", agent="deploy", needs=("unit",), tasks=(PlannedTask(id="ship"),)),
    )
    return Plan(
        digest="d" * 64,
        project=project,
        stages=stages,
        concurrency=Concurrency(group=group) if group else None,
    )


def created(
    name: str,
    *,
    project: str = "acme/shop",
    branch: str = "main",
    group: str = "",
    title: str = "Mend the gate",
    author: str = "ada",
) -> e.RunCreated:
    return e.RunCreated(
        at=at(0),
        run=run_id(name),
        trigger=derive("trigger", name),
        project=project,
        change=a_change(branch, title).with_(author=author),
        plan=a_plan(project, group),
    )


def launched(name: str, number: int = 1, seconds: float = 1) -> tuple[e.StageStarted, e.AttemptLaunched]:
    return (
        e.StageStarted(at=at(seconds), stage="unit"),
        e.AttemptLaunched(
            at=at(seconds),
            stage="unit",
            task="unit",
            attempt=attempt_of(name, number),
            number=number,
            launch_deadline=at(seconds + 900),
        ),
    )


def started(name: str, seconds: float = 2) -> e.AttemptStarted:
    return e.AttemptStarted(
        at=at(seconds), task="unit", attempt=attempt_of(name), worker="w1", deadline=at(seconds + 3600)
    )


def attempt_finished(name: str, seconds: float = 3) -> e.AttemptFinished:
    result = Result(outcome=Outcome.SUCCESS, summary="12 passed")
    return e.AttemptFinished(at=at(seconds), task="unit", attempt=attempt_of(name), by="agent", result=result)


def run_finished(outcome: Outcome = Outcome.SUCCESS, seconds: float = 9) -> e.RunFinished:
    return e.RunFinished(at=at(seconds), outcome=outcome)


def a_record(topic: str = AGENT_REPORT, key: str = "k", id: str = "m1") -> Record:
    return Envelope(id=id, type="turnout.report.requested", source="/t", data={"n": id}, time=T0).to_record(
        topic, key
    )


def task_record(name: str) -> Record:
    return a_record(agent_topic("test"), attempt_of(name), f"task-{name}")


def a_delivery(id: str = "d1", status: str = "received", seconds: float = 0, **more: str) -> Delivery:
    return Delivery(
        id=id,
        source="github",
        event=more.get("event", "push"),
        repository=more.get("repository", "acme/shop"),
        status=status,
        received_at=at(seconds),
        run=more.get("run", ""),
        reason=more.get("reason", ""),
        message=more.get("message", ""),
    )


def trigger_record(id: str) -> Record:
    return a_record(PIPELINE_EVENTS, "acme/shop", id)


class Story:
    """One run in a store, told event by event."""

    def __init__(self, store: Store, name: str = "one", **of_created: str) -> None:
        self.store = store
        self.id = run_id(name)
        self.name = name
        self.run: Run | None = None
        self._created = created(name, **of_created)

    def begin(
        self, *, records: Sequence[Record] = (), inbox: str = "", due_at: datetime | None = None
    ) -> Sequence[OutboxRow]:
        return self.tell(self._created, records=records, inbox=inbox, due_at=due_at)

    def launch(self, seconds: float = 1) -> None:
        self.tell(*launched(self.name, seconds=seconds), records=[task_record(self.name)])

    def start(self, lease_until: datetime, seconds: float = 2) -> None:
        self.tell(started(self.name, seconds), leases={attempt_of(self.name): lease_until})

    def tell(
        self,
        *events: e.Event,
        records: Iterable[Record] = (),
        inbox: str = "",
        due_at: datetime | None = None,
        leases: dict[str, datetime] | None = None,
        delivery: Delivery | None = None,
        seconds: float = 0,
    ) -> Sequence[OutboxRow]:
        after = replay(events, self.run)
        change = Commit(
            run=after,
            expected=self.run.version if self.run else 0,
            events=events,
            records=tuple(records),
            at=at(seconds),
            inbox=inbox,
            due_at=due_at,
            leases=leases or {},
            delivery=delivery,
        )
        rows = self.store.commit(change)
        self.run = after
        return rows

    @property
    def state(self) -> Run:
        assert self.run is not None, "call begin first"
        return self.run
