"""What a seed stands for: who lives in the world, what happens there, and what goes wrong."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from tests.core.building import CHANGE, START, a_plan, stage
from tests.simulation.faults import Fault, Window
from tests.simulation.machines import Work
from turnout.core.change import Change
from turnout.core.events import Timing
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome, Runtime
from turnout.core.plan import Approval, Concurrency, Notify, Plan, Retries
from turnout.core.topics import (
    AGENT_LOGS,
    AGENT_REPORT,
    AGENT_RESULTS,
    DEAD_LETTERS,
    PIPELINE_EVENTS,
    Topic,
    agent_topic,
)
from turnout.gateway import Limits

KINDS = ("script", "test", "deploy")
TOPICS = tuple(
    Topic(name, "", 1 if name == DEAD_LETTERS else 2, 7 * 86400, "")
    for name in (
        PIPELINE_EVENTS,
        AGENT_RESULTS,
        AGENT_REPORT,
        AGENT_LOGS,
        DEAD_LETTERS,
        *map(agent_topic, KINDS),
    )
)
TELL = Notify(slack="#ci", on=("failure", "recovered", "success"))
QUIET = Notify(slack="#ci", on=("failure",))
JOB = Runtime.DOCKER
"""Its jobs are connected to the bus."""
GATED = Runtime.KUBERNETES
"""Its jobs have their pass alone."""
SERIAL = Concurrency(group="main")
NEWEST = Concurrency(group="main", cancel_superseded=True)
MATRIX = ("a", "b", "c")
PEOPLE = ("ada", "bob", "eve")

DEPLOYS: Mapping[str, Plan] = {
    "deploy": a_plan(
        stage("test", agent="test"), stage("ship", "test", agent="deploy", environment="live"), notify=TELL
    ),
    "checked": a_plan(
        stage("ship", agent="deploy", environment="live", retries=1),
        stage("check", "ship", rollback="ship"),
        notify=TELL,
    ),
    "checked twice": a_plan(
        stage("ship", agent="deploy", environment="live", cells=MATRIX[:2]),
        stage("check", "ship", agent="test", rollback="ship"),
        stage("look", "ship", rollback="ship"),
        fail_fast=False,
        parallel=2,
        notify=QUIET,
    ),
    "asked": a_plan(
        stage("ship", agent="deploy", environment="live", runtime=JOB, approval=Approval(expires=90)),
        stage("check", "ship", rollback="ship"),
        notify=QUIET,
    ),
    "east first": a_plan(
        stage("east", agent="deploy", environment="east"),
        stage("west", "east", agent="deploy", environment="west"),
        stage("check", "west", rollback="east"),
        notify=QUIET,
    ),
    "west first": a_plan(
        stage("west", agent="deploy", environment="west"),
        stage("east", "west", agent="deploy", environment="east"),
        stage("check", "east", agent="test", rollback="west"),
        notify=QUIET,
    ),
}
"""Runs of one project meet in them; a project that has one of these has them all."""

PIPELINES: Mapping[str, Plan] = {
    **DEPLOYS,
    "one": a_plan(stage("test", agent="test", retries=1), notify=TELL),
    "line": a_plan(
        stage("lint"),
        stage("test", "lint", agent="test", retry=Retries(max=2, backoff=10)),
        stage("ship", "test"),
        notify=TELL,
    ),
    "beside": a_plan(
        stage("lint"), stage("test", agent="test", retries=1), stage("ship", "lint", "test"), notify=QUIET
    ),
    "matrix": a_plan(
        stage("test", agent="test", cells=MATRIX, retries=1), stage("ship", "test"), parallel=2, notify=TELL
    ),
    "patient": a_plan(
        stage("test", agent="test", cells=MATRIX[:2], fail_fast=False, allow_failure=True),
        stage("ship", "test"),
        notify=QUIET,
    ),
    "approved": a_plan(
        stage("test", agent="test"),
        stage("ship", "test", approval=Approval(required=1, expires=90)),
        notify=TELL,
    ),
    "two people": a_plan(
        stage("ship", approval=Approval(required=2, by=("@ada", "@bob"), expires=120)),
        stage("after", "ship"),
        notify=QUIET,
    ),
    "serial": a_plan(
        stage("test", agent="test", retries=1), stage("ship", "test"), concurrency=SERIAL, notify=TELL
    ),
    "newest": a_plan(stage("lint"), stage("test", "lint", agent="test"), concurrency=NEWEST, notify=TELL),
    "jobs": a_plan(
        stage("test", agent="test", runtime=JOB, retries=1), stage("ship", "test", runtime=JOB), notify=TELL
    ),
    "serial jobs": a_plan(stage("ship", runtime=JOB), concurrency=SERIAL, notify=QUIET),
    "gated": a_plan(
        stage("test", agent="test", runtime=GATED, secrets=("TOKEN",), retries=1),
        stage("ship", "test", runtime=GATED),
        notify=TELL,
    ),
    "gated beside": a_plan(
        stage("lint", runtime=GATED),
        stage("test", agent="test", runtime=GATED, secrets=("TOKEN",)),
        stage("ship", "lint", "test"),
        notify=QUIET,
    ),
    "newest gated": a_plan(
        stage("test", agent="test", runtime=GATED, secrets=("TOKEN",)), concurrency=NEWEST, notify=TELL
    ),
    "go on": a_plan(
        stage("lint"),
        stage("test", agent="test"),
        stage("ship", "lint"),
        fail_fast=False,
        infrastructure_retries=1,
        notify=TELL,
    ),
}


@dataclass(frozen=True, slots=True)
class Push:
    """One delivery of GitHub's. ``kind``: ``run``, ``none`` (asks for no run), ``broken`` (pipeline file), ``unserved``
    (no project), ``off`` (not triggered). ``doubled``: when it is sent once more."""

    id: str
    at: float
    kind: str
    repository: str
    pipeline: str
    branch: str
    doubled: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Act:
    """What a person does at ``at`` to run number ``run`` (of those there are): cancel, rerun, approve, …"""

    id: str
    at: float
    by: str
    what: str
    run: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """``skew``: seconds that a clock may be off, at most. ``peaceful``: nothing goes wrong at all."""

    seed: int
    embedded: bool
    peaceful: bool
    pushes: tuple[Push, ...]
    acts: tuple[Act, ...]
    windows: tuple[Window, ...]
    rates: Mapping[Fault, float]
    calm: float
    timing: Timing
    webhooks: int
    orchestrators: int
    gateways: int
    limits: Limits
    dispatchers: int
    reporters: int
    sweepers: int
    machines: int
    workers: int
    slots: int
    sweep_every: float
    timers: bool
    skew: float

    @property
    def once(self) -> bool:
        """Whether GitHub tries a delivery once, as it does, and again when it is asked; else until it hears yes."""
        return random.Random(f"{self.seed}/github").random() < 0.3

    def plan(self, push: Push) -> Plan:
        return PIPELINES[push.pipeline]

    def work(self, task: TaskRequested) -> Work:
        """The same for the same attempt, whatever else has happened."""
        chance = random.Random(f"{self.seed}/work/{task.attempt}")
        seconds = chance.choice((0.0, 1.0, 3.0, 8.0, 20.0)) * (0.5 + chance.random())
        draw = chance.random()
        if task.runtime is JOB and chance.random() < 0.08:
            return Work(0.0, Outcome.ERROR, stillborn=True)
        if draw < 0.62:
            return Work(seconds, Outcome.SUCCESS)
        if draw < 0.80:
            return Work(seconds, Outcome.FAILURE)
        if draw < 0.85:
            return Work(seconds, Outcome.ERROR)
        if draw < 0.89:
            return Work(self.timing.lease + 60 * chance.random(), Outcome.SUCCESS, silent=True)
        if draw < 0.92:
            return Work(90.0, Outcome.SUCCESS, deaf=True)
        if draw < 0.95:
            return Work(seconds, Outcome.ERROR, killed=True)
        return Work(45.0, Outcome.SUCCESS)


def change_of(push: Push) -> Change:
    """What is delivered at some time has happened at another: deliveries come in any order."""
    moved = int(60 * random.Random(f"{push.id}/{push.at}").random())
    return CHANGE.with_(
        repository=push.repository,
        sha=hashlib.sha1(push.id.encode()).hexdigest(),  # it is what a commit has
        moved_at=START + timedelta(seconds=moved),
        branch=push.branch,
        ref=f"refs/heads/{push.branch}",
        title=push.id,
        author="ada",
    )


NARROW = (Limits(requests=2.0), Limits(log_rate=20.0), Limits(log=150))
"""Gateways that take little."""


def scenario(seed: int) -> Scenario:
    chance = random.Random(f"scenario/{seed}")
    peaceful = chance.random() < 0.08
    embedded = chance.random() < 0.35
    busy = chance.choice((20.0, 45.0, 70.0))
    repositories = ("acme/shop", "acme/till")[: chance.choice((1, 1, 2))]
    pushes = _pushes(chance, repositories, busy)
    acts = (*_acts(chance, busy), *_approvals(chance, pushes), *_second_thoughts(chance, pushes))
    calm = busy * (1.2 + chance.random())
    return Scenario(
        seed=seed,
        embedded=embedded,
        peaceful=peaceful,
        pushes=pushes,
        acts=acts,
        windows=() if peaceful else _windows(chance, calm, embedded),
        rates={} if peaceful else _rates(chance),
        calm=calm,
        timing=Timing(
            launch=chance.choice((60.0, 150.0, 400.0)),
            lease=20.0,
            heartbeat=5.0,
            cancel_grace=15.0,
            timeout_grace=15.0,
        ),
        webhooks=chance.choice((1, 2)),
        orchestrators=chance.choice((2, 2, 3)),
        gateways=chance.choice((1, 2)),
        limits=Limits() if peaceful else chance.choice((Limits(), Limits(), *NARROW)),
        dispatchers=chance.choice((1, 2)),
        reporters=chance.choice((1, 2)),
        sweepers=chance.choice((1, 1, 2)),
        machines=chance.choice((1, 1, 2)),
        workers=chance.choice((1, 2)),
        slots=chance.choice((1, 2, 4)),
        sweep_every=chance.choice((3.0, 7.0, 20.0)),
        timers=chance.random() < 0.6,
        skew=0.0 if peaceful else chance.choice((0.0, 0.5, 2.0)),
    )


def _pushes(chance: random.Random, repositories: tuple[str, ...], busy: float) -> tuple[Push, ...]:
    pipeline = {each: chance.choice(sorted(PIPELINES)) for each in repositories}
    found = []
    for number in range(chance.choice((1, 2, 2, 3, 4))):
        repository = chance.choice(repositories)
        at = busy * chance.random() ** 2
        kind = chance.choices(("run", "none", "broken", "unserved", "off"), (20, 1, 1, 1, 1))[0]
        doubled = tuple(at + 30 * chance.random() ** 3 for _ in range(chance.choice((0, 0, 0, 1, 2))))
        found.append(
            Push(
                f"push-{number}",
                at,
                kind,
                repository,
                _of_its_kind(chance, pipeline[repository]),
                chance.choice(("main", "fix")),
                doubled,
            )
        )
    return tuple(found)


def _of_its_kind(chance: random.Random, pipeline: str) -> str:
    return chance.choice(sorted(DEPLOYS)) if pipeline in DEPLOYS else pipeline


ACTS = {
    "cancel": 4,
    "rerun": 3,
    "rerun-failed": 2,
    "rerun-stage": 1,
    "approve": 6,
    "reject": 2,
    "manual": 1,
    "forge": 2,
}
"""What people do, and how often."""


def _acts(chance: random.Random, busy: float) -> tuple[Act, ...]:
    wanted = chance.choices(tuple(ACTS), tuple(ACTS.values()), k=chance.choice((0, 1, 2, 4)))
    return tuple(
        Act(f"act-{n}", busy * 1.6 * chance.random() + 2, chance.choice(PEOPLE), what, chance.randrange(4))
        for n, what in enumerate(wanted)
    )


def _approvals(chance: random.Random, pushes: Sequence[Push]) -> Iterator[Act]:
    """People who are asked mostly answer, some of them more than once."""
    for push in pushes:
        plan = PIPELINES[push.pipeline]
        if any(each.approval is not None for each in plan.stages):
            for number in range(chance.choice((0, 1, 2, 3))):
                at = push.at + 5 + 60 * chance.random() ** 2
                what = chance.choices(("approve", "reject"), (6, 1))[0]
                yield Act(f"act-{push.id}-{number}", at, chance.choice(PEOPLE), what, chance.randrange(4))


def _second_thoughts(chance: random.Random, pushes: Sequence[Push]) -> Iterator[Act]:
    """What deploys is stopped in its midst now and then, and what is being rolled back."""
    for push in pushes:
        if push.pipeline in DEPLOYS and chance.random() < 0.4:
            what = chance.choice(("cancel", "cancel-undoing"))
            at = push.at + 5 + 40 * chance.random()
            yield Act(f"act-stop-{push.id}", at, chance.choice(PEOPLE), what, chance.randrange(2))


def _rates(chance: random.Random) -> dict[Fault, float]:
    """Some kinds of faults, often or seldom: a world with everything at once hides what two of them do together."""
    strength = chance.choice((0.3, 1.0, 1.0, 2.5, 5.0))
    usual = {
        Fault.CRASH_BEFORE: 0.004,
        Fault.CRASH_AFTER: 0.006,
        Fault.REFUSED: 0.01,
        Fault.UNKNOWN: 0.01,
        Fault.SLOW: 0.01,
        Fault.TWICE: 0.02,
        Fault.HALF: 0.01,
    }
    return {kind: rate * strength for kind, rate in usual.items() if chance.random() < 0.6}


PROCESSES = (
    "webhook",
    "orchestrator",
    "dispatcher",
    "reporter",
    "launcher",
    "sweeper",
    "worker",
    "gateway",
    "job",
)


def _windows(chance: random.Random, calm: float, embedded: bool) -> tuple[Window, ...]:
    kinds = [
        "kill",
        "kill",
        "stop",
        "pause",
        "cut",
        "cut",
        "outage",
        "evict",
        "rebalance",
        "go back",
        "elect",
    ]
    if not embedded:
        kinds.append("wipe")
    found = []
    for number in range(chance.choice((0, 1, 2, 3, 5, 9))):
        what = chance.choice(kinds)
        start = calm * 0.95 * chance.random()
        end = min(start + chance.choice((1.0, 5.0, 15.0, 40.0)) * (0.5 + chance.random()), calm)
        whom, target = chance.choice(PROCESSES), ""
        match what:
            case "cut":
                target = chance.choice(("store", "bus", "orchestrator", "reporter", "gateway", "artifacts"))
            case "outage":
                whom, target = "*", chance.choice(("store", "bus", "slack", "gateway", "artifacts"))
            case "evict" | "rebalance" | "go back":
                whom, end = chance.choice(("functions", "agents.script", "agents.test")), start
            case "elect":
                whom = chance.choice([each.name for each in TOPICS])
            case "wipe":
                whom, end = "*", start
            case "kill":
                end = start
            case "stop":
                whom, end = chance.choice(("dispatcher", "worker")), start
            case _:
                pass
        found.append(Window(f"{what}-{number}", what, whom, start, end, target))
    return tuple(sorted(found, key=lambda each: each.start))
