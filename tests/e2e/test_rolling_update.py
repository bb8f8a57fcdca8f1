"""The version before and the version after on one store and one set of topics, while pushes come (docs/upgrades.md)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from tests.e2e.next_version import MARK, NEXT_HEAD, make_next
from tests.e2e.system import ROOT, System, check_each_thing_once
from tests.waiting import wait_until
from turnout.adapters.store.schema import migrate, version
from turnout.core.run import StageStatus

PIPELINE = """\
pipeline:
  stages:
    - name: first
      agent: script
      with: {run: "echo $TURNOUT_RUN first $TURNOUT_ATTEMPT_NUMBER >> $EFFECTS"}
      env: {EFFECTS: "%(effects)s"}
    - name: second
      agent: script
      approval: 1
      with: {run: "echo $TURNOUT_RUN second $TURNOUT_ATTEMPT_NUMBER >> $EFFECTS"}
      env: {EFFECTS: "%(effects)s"}
"""


@pytest.mark.real
def test_two_versions_do_each_thing_once_together_and_after_each_other(tmp_path: Path) -> None:
    old, new = two_versions(tmp_path)
    database = f"sqlite:///{tmp_path}/shared/turnout.db"
    assert migrate(database)
    with old, new:
        old.make_repository({"pipeline.yml": PIPELINE % {"effects": old.effects}})
        (new.home / "work").symlink_to(old.home / "work")

        old.start()
        begun_by_old = [old.deliver(f"old-{n}") for n in range(3)]
        until_waiting(old, begun_by_old)

        assert f"the tables are changed to {NEXT_HEAD}" in turnout(new, "migrate")
        begun_on_new_tables = [old.deliver("on new tables")]
        new.start()
        names = [f"together-{n}" for n in range(4)]
        together = [each.deliver(name) for name, each in zip(names, (old, new, old, new), strict=True)]
        assert [new.deliver(names[0]), old.deliver(names[1])] == together[:2], "the other one knows them"
        until_waiting(old, begun_on_new_tables + together)
        approve(old, ended := begun_by_old[:1] + together[:3])
        old.wait_for(ended, 30)

        assert old.stop() == 0
        begun_by_new = [new.deliver(f"new-{n}") for n in range(2)]
        until_waiting(old, begun_by_new)
        approve(old, begun_by_old[1:2])
        old.wait_for(begun_by_old[1:2], 30)
        assert writers(old, begun_by_old[1]) == ["old", "next"], "begun by the old, ended by the new"

        old.start()  # back again, on the tables of the new one
        assert new.stop() == 0
        all_ = begun_by_old + begun_on_new_tables + together + begun_by_new
        approve(old, [each for each in all_ if each not in {*ended, begun_by_old[1]}])
        check_each_thing_once(old, old.wait_for(all_, 30))
        for run in begun_by_new:
            assert writers(old, run) == ["next", "old"], "begun by the new, ended by the old"
        for run in all_:
            state = old.run(run)
            assert state is not None
            assert state.version == len(old.wiring.store.events(run))

        account = json.loads(turnout(old, "audit", "--json"))
        assert (account["unaccounted"], account["under_way"]) == (0, 0), account
        totals = {line["kind"]: line["total"] for line in account["lines"]}
        assert (totals["delivery"], totals["run"], totals["attempt"]) == (len(all_), len(all_), 2 * len(all_))
        assert version(old.wiring.store.database) == NEXT_HEAD
        behind = old.wiring.bus.lag("functions", ["pipeline.events", "agent.results", "agent.report"])
        assert not any(behind.values()), behind


def two_versions(path: Path) -> tuple[System, System]:
    """Each with a home of its own; what they work on is shared."""
    tree = make_next(ROOT, path / "tree")
    shared = {
        "TURNOUT_DATABASE_URL": f"sqlite:///{path}/shared/turnout.db",
        "TURNOUT_PROJECTS": str(path / "shared/projects"),
        "TURNOUT_SERVER_KEY": "of both",
        "TURNOUT_MIGRATE": "job",
    }
    for name in ("old", "new"):
        (path / name).mkdir()
    old = System(path / "old", shared)
    return old, System(
        path / "new",
        shared
        | {"TURNOUT_NODE": "next", "TURNOUT_SLACK_BASE_URL": old.slack.base_url, "PYTHONPATH": str(tree)},
        tree=tree,
    )


def turnout(system: System, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "turnout", *arguments],
        cwd=system.tree,
        env=os.environ | system.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def until_waiting(system: System, runs: Sequence[str]) -> None:
    def waiting() -> bool:
        states = [system.run(each) for each in runs]
        return all(state and state.stages["second"].status is StageStatus.WAITING for state in states)

    wait_until(waiting, 30, f"{len(runs)} runs wait for somebody", poll=0.1)


def approve(system: System, runs: Sequence[str]) -> None:
    for each in runs:
        state = system.run(each)
        assert state is not None
        system.wiring.commands.approve(state, "second", "ada")


def writers(system: System, run: str) -> list[str]:
    """Which versions recorded the run's events, one after the other."""
    with system.wiring.store.database.read() as connection:
        found = connection.execute(
            text("SELECT body FROM events WHERE run = :run ORDER BY version"), {"run": run}
        )
        names: list[Any] = ["next" if f'"{MARK}":"next"' in body else "old" for (body,) in found]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]
