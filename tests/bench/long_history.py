"""A store with a long history of many projects: runs that the orchestrator has really made, in every way a run can end,
copied with other ids, projects, branches, people and days until there are so many.

Besides what the copies' runs, events, attempts and deliveries say, the figures hold them too, as the sweeper would have
counted them.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

from tests.bench.history import Original, read, renamed
from tests.core.building import CHANGE, a_plan, stage
from tests.test_orchestration import World
from turnout.adapters.store.database import Database
from turnout.adapters.store.figures import SqlFigures
from turnout.adapters.store.instants import SECOND, micros
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import open_store
from turnout.core import messages as m
from turnout.core import result as r
from turnout.core.facts import facts_of
from turnout.core.ids import derive
from turnout.core.model import Outcome
from turnout.core.plan import Plan
from turnout.core.run import load
from turnout.core.tally import Facts, day_of
from turnout.orchestration import Planned

PROJECT = "bench/project-00"
PROJECTS, BRANCHES, PEOPLE = 20, 12, 15
EVERY = 2 * 3600 * SECOND
"""Microseconds from one run to the next: a longer history goes further back, its last days are as full as others'."""
CELLS = 18
BATCH = 500
COPIED = ("runs", "events", "attempts", "deliveries")

PLAN = a_plan(
    stage("lint", agent="lint"),
    stage("unit", agent="test", cells=[str(number) for number in range(CELLS)], retries=1),
    stage("build", "lint", "unit", agent="build"),
    stage("scan", "build", agent="security"),
    stage("staging", "scan", agent="deploy", environment="staging"),
    stage("production", "staging", agent="deploy", environment="production"),
).with_(project=PROJECT)
"""Its runs have about a hundred events."""


class _Theatre(World):
    """Runs of `PLAN`, each with its own trigger; ``failing``: tasks that fail, ``flaky``: that fail once."""

    def planner(self, request: m.RunRequested) -> Planned:
        assert isinstance(self.plan, Plan)
        return Planned(PROJECT, self.plan, request.change)

    def begin(self, trigger: str) -> None:
        change = CHANGE.with_(
            repository=PROJECT, author="person-00", title="Mend the gate", branch="branch-00"
        )
        self.hear(m.RunRequested(trigger=derive(trigger), change=change), id=derive(trigger))

    def play(self, trigger: str, failing: Sequence[str] = (), flaky: Sequence[str] = ()) -> None:
        self.begin(trigger)
        once = set(flaky)
        while not (run := self.run(trigger)).finished:
            self.clock.forward(20)
            self.orchestrator.tick(run.id)
            active = [task.id for _, task in self.run(trigger).tasks() if task.active]
            for task in active:
                done = self.finished(task, trigger=trigger)
                said = {"run": done.run, "task": task, "attempt": done.attempt, "token": done.token}
                self.hear(m.TaskStarted(**said, worker="w1", at=self.clock.now()))
            self.clock.forward(40)
            for task in active:
                bad = task in failing or task in once
                once.discard(task)
                self.hear(self.finished(task, trigger=trigger).with_(result=_result(task, good=not bad)))
                if self.run(trigger).finished:
                    break

    def run(self, trigger: str = "t1") -> Any:
        return super().run(derive(trigger))


def _result(task: str, *, good: bool) -> r.Result:
    outcome = Outcome.SUCCESS if good else Outcome.FAILURE
    tests = findings = None
    if task.startswith("unit"):
        failed = (
            ()
            if good
            else (r.FailedCase(id=f"tests/{task}::test_gate", name="test_gate", message="it is shut"),)
        )
        tests = r.Tests(
            total=120, passed=120 - len(failed), failed=len(failed), failed_cases=failed, coverage=81.5
        )
    if task == "scan":
        findings = r.Findings(counts={"high": 0 if good else 2, "low": 7})
    return r.Result(outcome=outcome, summary=f"{task} has ended", tests=tests, findings=findings)


def templates(path: Path) -> list[str]:
    """Play the originals; their runs' ids."""
    url = f"sqlite:///{path}"
    migrate(url)
    store = open_store(url, embedded=True, synchronous="NORMAL")
    world = _Theatre(PLAN)
    world.use(store)
    world.clock.at = datetime.now(UTC) - timedelta(hours=1)
    last = f"unit[{CELLS - 1}]"
    plays: Mapping[str, Mapping[str, Sequence[str]]] = {
        "good": {},
        "good too": {},
        "flaky": {"flaky": ["unit[3]"]},
        "broken tests": {"failing": [last]},
        "vulnerable": {"failing": ["scan"]},
        "bad deploy": {"failing": ["production"]},
    }
    for name, play in plays.items():
        world.play(name, **play)
    found = [world.run(name).id for name in plays]
    store.close()
    return found


@dataclass(frozen=True)
class _Copy:
    number: int
    original: Original
    ids: Mapping[str, str]
    project: str
    branch: str
    person: str
    shift: int
    """Microseconds."""


def seed(path: Path, runs: int) -> int:
    """Make the database, with ``runs`` runs that have ended; how many events it holds."""
    originals = templates(path)
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        for pragma in ("synchronous = OFF", "cache_size = -200000", "foreign_keys = OFF"):
            connection.execute(f"PRAGMA {pragma}")
        read_ones = [read(connection, each) for each in originals]
        facts = [_facts(each) for each in read_ones]
        (first,) = connection.execute("SELECT min(created_at) FROM runs").fetchone()
        numbers = dict.fromkeys((f"bench/project-{n:02}" for n in range(PROJECTS)), 0)
        numbers[PROJECT] = len(originals)
        todo = iter(range(runs - len(originals)))
        database = Database(f"sqlite:///{path}", synchronous="NORMAL")
        while batch := list(islice(todo, BATCH)):
            copies = [_copy(number, runs, read_ones, first) for number in batch]
            connection.execute("BEGIN")
            for table in COPIED:
                _insert(connection, table, [row for each in copies for row in _rows(each, table, numbers)])
            connection.execute("COMMIT")
            counted = [_moved(facts[each.number % len(facts)], each) for each in copies]
            SqlFigures(database).count(counted, datetime.now(UTC))
        database.close()
        connection.execute("DELETE FROM projects")
        connection.executemany("INSERT INTO projects (name, runs) VALUES (?, ?)", numbers.items())
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    finally:
        connection.close()


def _facts(original: Original) -> Facts:
    (row,) = original.rows["runs"]
    return facts_of(load(row["state"]))


def _copy(number: int, runs: int, originals: Sequence[Original], first: int) -> _Copy:
    original = originals[number % len(originals)]
    ids = {old: derive("long history", number, old) for old in original.ids}
    now = micros(datetime.now(UTC)) - 3600 * SECOND
    at = now - (runs - number) * EVERY
    return _Copy(
        number=number,
        original=original,
        ids=ids,
        project=f"bench/project-{number * 7 % PROJECTS:02}",
        branch=f"branch-{number * 5 % BRANCHES:02}",
        person=f"person-{number * 3 % PEOPLE:02}",
        shift=at - first,
    )


def _moved(facts: Facts, copy: _Copy) -> Facts:
    moved = timedelta(microseconds=copy.shift)
    run = copy.ids[facts.run]
    deploys = tuple(
        each.with_(
            run=run,
            project=copy.project,
            at=each.at + moved,
            began_at=each.began_at + moved,
        )
        for each in facts.deploys
    )
    (ended,) = (row["finished_at"] for row in copy.original.rows["runs"])
    day = day_of(datetime.fromtimestamp((ended + copy.shift) / SECOND, UTC))
    return facts.with_(run=run, project=copy.project, day=day, deploys=deploys)


TIMES = ("at", "created_at", "finished_at", "launched_at", "launch_deadline", "received_at")


def _rows(copy: _Copy, table: str, numbers: dict[str, int]) -> Iterator[dict[str, Any]]:
    for row, named in zip(copy.original.rows[table], copy.original.named[table], strict=True):
        made = row | {column: renamed(row[column], ids, copy.ids) for column, ids in named.items()}
        for column in TIMES:
            if made.get(column) is not None:
                made[column] += copy.shift
        if table == "runs":
            del made["seq"]
            numbers[copy.project] += 1
            state = made["state"].replace(PROJECT, copy.project).replace("branch-00", copy.branch)
            made |= {
                "project": copy.project,
                "repository": copy.project,
                "branch": copy.branch,
                "author": copy.person,
                "number": numbers[copy.project],
                "state": state.replace("person-00", copy.person),
                "counted_at": None,
            }
        elif table == "deliveries":
            del made["seq"]
        yield made


def _insert(connection: sqlite3.Connection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    if not rows:
        return
    names = list(rows[0])
    places = ", ".join("?" * len(names))
    connection.executemany(
        f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", [tuple(row.values()) for row in rows]
    )
