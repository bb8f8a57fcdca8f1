"""Parts that go and come while runs go on, in the shape that Terraform plans: nothing is lost, nothing done twice."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.cloud.shop import Shop
from tests.cloud.stack import ROOT, Cloud
from tests.e2e.next_version import MARK, NEXT_HEAD, make_next
from tests.waiting import wait_until
from turnout.core.model import Outcome
from turnout.core.run import Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]


def check(shop: Shop, runs: list[Run]) -> None:
    """Each has ended well, was told of, and did each thing once; and everything is accounted for."""
    assert {run.outcome for run in runs} == {Outcome.SUCCESS}, [run.reason for run in runs]
    done = Counter(shop.effects.read_text().split())
    assert {id: done[id] for id in (run.id for run in runs)} == {run.id: 1 for run in runs}

    def settled() -> bool:
        account = json.loads(shop.cloud.turnout("audit", "--json"))
        assert account["unaccounted"] == 0, account
        return not account["under_way"]

    wait_until(settled, 60, "everything has come to its end", poll=1.0)
    assert shop.refused() == []


def test_what_is_killed_in_the_middle_of_a_request_is_made_good(cloud: Cloud, shop: Shop) -> None:
    orchestrator, gateway, reporter = (cloud.fronts[name] for name in ("orchestrator", "gateway", "reporter"))
    for each in orchestrator.begin(orchestrator.most - 1):
        each.wait_ready()
    assert len(orchestrator.instances) == 3
    orchestrator.strikes = orchestrator.instances[:2]
    gateway.strikes, reporter.strikes = gateway.instances[:1], reporter.instances[:1]
    runs = [shop.push(f"Sell tea {number}") for number in range(2)]
    (dispatcher,) = cloud.dispatchers
    dispatcher.end(at_once=True)
    cloud.dispatchers.remove(dispatcher)
    unheard = shop.pushed("Sell tea while nobody dispatches")
    cloud.dispatcher().wait_ready()
    runs.append(shop.run_of(unheard))
    check(shop, shop.ended(runs, within=150))
    assert orchestrator.strikes + gateway.strikes + reporter.strikes == [], (
        "each was in the middle of a request"
    )
    assert orchestrator.lost >= 2


def test_functions_are_updated_one_after_the_other_while_runs_go_on(
    cloud: Cloud, shop: Shop, tmp_path: Path
) -> None:
    before = shop.push("Begun by the old")
    cloud.update(next_tree(tmp_path / "next"))
    assert f"changed to {NEXT_HEAD}" in cloud.migrate()
    runs = [before]
    for name, front in cloud.fronts.items():
        front.replace(1)
        if name in ("console", "launcher", "orchestrator", "webhook"):
            runs.append(shop.push(f"Begun while {name} is new"))
    (old,) = cloud.dispatchers
    new = cloud.dispatcher()
    new.wait_ready()
    old.end()
    cloud.dispatchers.remove(old)
    runs.append(shop.push("Begun by the new"))
    check(shop, shop.ended(runs, within=150))
    with shop.store.database.read() as connection:
        marked = connection.execute(
            text("SELECT count(DISTINCT run) FROM events WHERE body LIKE :new"), {"new": f'%"{MARK}":"next"%'}
        ).scalar_one()
        plain = connection.execute(
            text(
                "SELECT count(DISTINCT run) FROM events WHERE body NOT LIKE :new AND run IN :runs".replace(
                    ":runs", str(tuple(runs))
                )
            ),
            {"new": f'%"{MARK}":"next"%'},
        ).scalar_one()
    assert marked >= 2
    assert plain >= 1


def next_tree(into: Path) -> Path:
    """With what else packages are made of, as git knows it."""
    make_next(ROOT, into)
    for name in ("requirements.txt", "pyproject.toml"):
        shutil.copy(ROOT / name, into / name)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=into, check=True, capture_output=True)
    return into
