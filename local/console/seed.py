"""Fills a home with runs that look like those of a team at work, by the production orchestrator: two weeks that are
over, and a day that goes on. The same `--seed` gives the same runs; their times end now.

    .venv/bin/python -m local.console.seed HOME        then: TURNOUT_HOME=HOME turnout up
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.console.stories import BROKEN, IGNORED, PEOPLE, TITLES, Answer, answer, plans
from turnout.adapters.settings import read_settings
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.change import Change
from turnout.core.dead_letters import dead_letter
from turnout.core.envelope import Received, Record
from turnout.core.errors import InvalidConfig
from turnout.core.ids import delivery_message_id
from turnout.core.model import ChangeKind
from turnout.core.plan import Plan
from turnout.core.policy import attempt_token
from turnout.core.ports import Delivery, Position, ReportRow
from turnout.core.run import Attempt, Run, StageStatus, TaskStatus
from turnout.core.topics import PIPELINE_EVENTS
from turnout.orchestration import Orchestrator, Planned
from turnout.wiring import Wiring, prepare

DAYS = 14
FINISHED = "finished"
"""The fact that people are told of an ended run."""


@dataclass
class Clock:
    at: datetime

    def now(self) -> datetime:
        return self.at


@dataclass
class World:
    """``plan`` and ``project``: of what is asked for next."""

    wiring: Wiring
    chance: random.Random
    clock: Clock
    plan: Plan | InvalidConfig | None = None
    project: str = ""
    count: int = 0
    made: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        settings = self.wiring.settings
        self.store = self.wiring.store
        self.key = settings.key()
        self.orchestrator = Orchestrator(self.store, None, self.planned, self.clock, self.key)

    def planned(self, request: m.RunRequested) -> Planned:
        if isinstance(self.plan, InvalidConfig):
            raise self.plan
        assert self.plan is not None
        return Planned(self.project, self.plan, request.change)

    def hear(self, message: m.Message, id: str = "") -> Run | None:
        self.count += 1
        envelope = m.wrap(message, id=id or f"seed-{self.count}", source="/seed", at=self.clock.at)
        return self.orchestrator.handle(envelope).run

    def push(self, change: Change, plan: Plan | InvalidConfig, project: str) -> Run:
        self.plan, self.project = plan, project
        self.count += 1
        delivery = f"{self.count:08x}-5eed-4000-8000-{self.chance.getrandbits(48):012x}"
        kind = "pull_request" if change.kind is ChangeKind.PULL_REQUEST else "push"
        trigger = delivery_message_id("github", delivery)
        self.store.receive(
            Delivery(delivery, "github", kind, change.repository, "received", self.clock.at, message=trigger)
        )
        run = self.hear(m.RunRequested(trigger=trigger, change=change, delivery=delivery), id=trigger)
        assert run is not None
        self.made.append(run.id)
        return run

    def play(
        self,
        run: str,
        does: Callable[[str, str, int], Answer],
        *,
        until: datetime | None = None,
        approve: str = "",
    ) -> Run:
        """Let its agents work until it has ended, waits for a person, or it is ``until``."""
        begins: dict[str, datetime] = {}
        ends: dict[str, tuple[datetime, Answer]] = {}
        while True:
            state = self.store.load(run)
            assert state is not None
            if state.finished:
                return state
            for stage, task, attempt in _active(state):
                if attempt.id not in begins and attempt.started_at is None:
                    begins[attempt.id] = attempt.launched_at + timedelta(
                        seconds=self.chance.uniform(0.4, 1.5) + (9 if stage == "build" else 0)
                    )
                if attempt.id not in ends:
                    said = does(stage, task, attempt.number)
                    ends[attempt.id] = (
                        begins.get(attempt.id, attempt.launched_at) + timedelta(seconds=said.seconds),
                        said,
                    )
            events: list[tuple[datetime, Callable[[], object]]] = []
            for _, task, attempt in _active(state):
                if attempt.started_at is None:
                    events.append((begins[attempt.id], _call(self._start, run, task, attempt)))
                else:
                    at, said = ends[attempt.id]
                    events.append((at, _call(self._finish, run, task, attempt, said)))
            for each in state.stages.values():
                for one in each.all_tasks.values():
                    if one.status is TaskStatus.RETRYING and one.due_at is not None:
                        events.append((one.due_at, _call(self.orchestrator.tick, run)))
                if each.status is StageStatus.WAITING and approve:
                    at = state.stages[each.name].expires_at or self.clock.at
                    asked = at - timedelta(seconds=state.planned(each.name).approval.expires)  # type: ignore[union-attr]
                    events.append(
                        (asked + timedelta(minutes=7), _call(self._approve, run, each.name, approve))
                    )
            if not events:
                return state
            at, act = min(events, key=lambda pair: pair[0])
            if until is not None and at > until:
                return state
            self.clock.at = max(self.clock.at, at)
            act()

    def _start(self, run: str, task: str, attempt: Attempt) -> None:
        self.hear(
            m.TaskStarted(
                run=run,
                task=task,
                attempt=attempt.id,
                token=attempt_token(self.key, attempt.id),
                worker=f"{task.partition('[')[0]}-{self.chance.randrange(4)}",
                sandbox="bubblewrap: own namespaces, no network, 2 GB",
                at=self.clock.at,
            )
        )
        self.wiring.artifacts.append(
            attempt_key(run, task, attempt.number), f"\x1b[2m$ turnout agent {task}\x1b[0m\n".encode()
        )

    def _finish(self, run: str, task: str, attempt: Attempt, said: Answer) -> None:
        key = attempt_key(run, task, attempt.number)
        self.wiring.artifacts.append(key, said.log.encode())
        kept = []
        for artifact, content in said.files:
            where = attempt_key(run, task, attempt.number, artifact.name)
            stored = self.wiring.artifacts.put(where, content, artifact.media_type)
            kept.append(artifact.with_(key=where, size=stored.size, sha256=stored.sha256))
        self.hear(
            m.TaskFinished(
                run=run,
                task=task,
                attempt=attempt.id,
                token=attempt_token(self.key, attempt.id),
                worker=attempt.worker,
                at=self.clock.at,
                result=said.result.with_(artifacts=tuple(kept)),
            )
        )

    def _approve(self, run: str, stage: str, by: str) -> None:
        self.hear(m.Approve(run=run, stage=stage, by=by, comment="Looked at staging, fine."))


def _call(does: Callable[..., object], *given: object) -> Callable[[], object]:
    return lambda: does(*given)


def _active(run: Run) -> Iterator[tuple[str, str, Attempt]]:
    for stage, task in run.tasks():
        if task.active and task.current is not None:
            yield stage.name, task.id, task.current


def fill(home: Path, *, runs: int = 120, seed: int = 7, now: datetime | None = None) -> World:
    """``runs`` that are over, and one each of what a person should see. The home must be new."""
    settings = read_settings({"TURNOUT_HOME": str(home)})
    prepare(settings)
    now = now or datetime.now(UTC)
    chance = random.Random(seed)
    world = World(Wiring(settings), chance, Clock(now - timedelta(days=DAYS)))
    known = plans()
    for number in range(runs):
        at = now - timedelta(days=DAYS) + timedelta(days=DAYS - 0.15) * (number / runs)
        world.clock.at = max(world.clock.at, at + timedelta(seconds=chance.uniform(0, 900)))
        project = chance.choices(list(known), weights=[5, 3, 2])[0]
        run = world.push(_change(world, project, number), known[project], project)
        mood = chance.choices(("well", "fails", "flaky", "lost"), weights=[74, 13, 10, 3])[0]
        world.play(run.id, answer(mood, chance, number), approve="grace")
    _today(world, known, now)
    _settle(world)
    return world


def _settle(world: World) -> None:
    """What the other parts of the stack would have done by now: agents and functions have read, people were told, ended
    runs were counted. One record is refused, for the dead letters."""
    wiring = world.wiring
    for run in world.made:
        state = world.store.load(run)
        if state is not None and state.finished:
            for channel in ("slack", "email", "github"):
                world.store.record_report(
                    ReportRow(
                        run, channel, FINISHED, "sent", f"{channel}-{run[:8]}", state.version, world.clock.at
                    )
                )
    while wiring.figuring.catch_up():
        pass
    for group, topics in wiring.looking.groups.items():
        with closing(wiring.bus.consumer(group, topics)) as consumer:
            while any(wiring.bus.lag(group, topics).values()):
                read = consumer.poll(1.0, 1000)
                consumer.commit(
                    [Position(each.record.topic, each.partition, each.offset + 1) for each in read]
                )
    record = Record(PIPELINE_EVENTS, "acme/shop", b'{"run": 7}', (("ce_type", b"turnout.run.rerun"),))
    refused = Received(record, 3, 41, world.clock.at.timestamp())
    letter = dead_letter(
        refused,
        group="functions",
        reason="data.run: got 7, wanted text",
        status=422,
        tries=1,
        at=world.clock.at,
    )
    wiring.bus.producer().publish([letter])


def _today(world: World, known: dict[str, Plan], now: datetime) -> None:
    """What goes on now, and one each of what can go wrong."""
    shop, chance = "acme/shop", world.chance
    scenes = (
        (150, "unit", "Round prices half up, not half even", "grace"),
        (122, "rollback", "Move the session store to Redis 7", "grace"),
        (95, "lost", "Cache the product images for a day", "grace"),
        (70, "flaky", "Show the delivery date in the basket", "grace"),
        (45, "errors", "Scan images with the new database", "grace"),
    )
    for minutes, mood, title, by in scenes:
        world.clock.at = now - timedelta(minutes=minutes)
        run = world.push(_change(world, shop, 900 + minutes, title=title), known[shop], shop)
        world.play(run.id, answer(mood, chance, minutes), approve=by)
    world.clock.at = now - timedelta(minutes=31)
    world.push(
        _change(world, "acme/payments", 990, title="Try the new pipeline syntax"), BROKEN, "acme/payments"
    )
    world.clock.at = now - timedelta(minutes=26)
    run = world.push(
        _change(world, shop, 991, title="Let customers pay by invoice", pull=412), known[shop], shop
    )
    world.clock.at += timedelta(seconds=20)
    world.play(run.id, answer("well", chance, 1), until=world.clock.at + timedelta(seconds=9))
    world.hear(m.CancelRun(run=run.id, by="alan", reason="wrong branch"))
    world.play(run.id, answer("cancelled", chance, 1))
    world.clock.at = now - timedelta(minutes=22)
    run = world.push(_change(world, shop, 992, title="Ship the summer sale"), known[shop], shop)
    world.play(run.id, answer("well", chance, 3))  # waits for approval
    world.clock.at = now - timedelta(seconds=64)
    run = world.push(
        _change(world, "acme/payments", 993, title="Check IBANs before they are sent"),
        known["acme/payments"],
        "acme/payments",
    )
    world.play(run.id, answer("flaky", chance, 2), until=now)
    world.clock.at = now - timedelta(seconds=38)
    run = world.push(
        _change(world, "acme/website", 994, title="Say who we are on the front page"),
        known["acme/website"],
        "acme/website",
    )
    world.play(run.id, answer("well", chance, 4), until=now)
    world.clock.at = now
    for number, (event, reason) in reversed(list(enumerate(IGNORED))):
        id = f"ignored-{number}"
        world.store.receive(
            Delivery(id, "github", event, shop, "ignored", now - timedelta(minutes=9 * number), reason=reason)
        )


def _change(world: World, project: str, number: int, *, title: str = "", pull: int = 0) -> Change:
    chance = world.chance
    branch = chance.choices(
        ("main", "next", "fix/basket-rounding", "renovate/pydantic"), weights=[6, 2, 2, 1]
    )[0]
    if title:
        branch = "pay-by-invoice" if pull else "main"
    return Change(
        kind=ChangeKind.PULL_REQUEST if pull else ChangeKind.PUSH,
        repository=project,
        clone_url=f"https://git.example/{project}.git",
        ref=f"refs/pull/{pull}/head" if pull else f"refs/heads/{branch}",
        sha=f"{chance.getrandbits(160):040x}",
        branch=branch,
        base_branch="main" if pull else "",
        number=pull,
        author=chance.choice(PEOPLE),
        title=title or TITLES[number % len(TITLES)],
        url=f"https://git.example/{project}/commit/{number}",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("home", type=Path)
    parser.add_argument("--runs", type=int, default=120)
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    world = fill(given.home, runs=given.runs, seed=given.seed)
    print(f"{len(world.made)} runs in {given.home}; the newest: {world.made[-1]}")


if __name__ == "__main__":
    main()
