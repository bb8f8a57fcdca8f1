"""Nothing lost, nothing twice, from GitHub on: pushes through git to a stand-in that drops and doubles webhooks."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.demo import push
from local.github.hub import Fault, Hub
from local.github.repositories import Repositories
from local.github.stand_in import StandIn
from local.github.webhooks import SENT, Fate, Webhook
from tests.e2e.system import REPOSITORY, ROOT, SECRET, System
from tests.github_app import app_key
from tests.waiting import wait_until
from turnout.stack.layout import Running

pytestmark = pytest.mark.real
PUSHES = 500
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
TOGETHER = 20
"""Branches that one `git push` moves: GitHub delivers an event for each."""
git = partial(push.git, within=60)
PIPELINE = """\
pipeline:
  on: {push: {}}
  concurrency: {group: "{ref}"}
  stages:
    - name: greet
      agent: script
      with: {run: "true"}
      when: {branch: ["greet/*"]}
"""


class Careless:
    """Every tenth delivery is dropped, another tenth comes twice, some get a 503 on the way: as chance has it.

    Of those asked for again, one in twenty is dropped once more.
    """

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self._lock = threading.Lock()
        self.done: Counter[str] = Counter()

    def __call__(self, _guid: str, again: bool) -> Fate:
        with self._lock:
            at = self._chance.random()
            if again:
                name, fate = ("dropped again", Fate(code=502)) if at < 0.05 else ("came again", SENT)
            elif at < 0.10:
                name, fate = "dropped", Fate(code=502)
            elif at < 0.20:
                name, fate = "doubled", Fate(twice=True)
            elif at < 0.23:
                name, fate = "answered 503", Fate(code=503)
            else:
                name, fate = "delivered", SENT
            self.done[name] += 1
            return fate


@contextmanager
def clone_of(url: str, home: Path) -> Iterator[Path]:
    work = home / "clone"
    work.mkdir()
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "remote", "add", "origin", url)
    (work / "pipeline.yml").write_text(PIPELINE)
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "-m", "Begin")
    yield work


def push_all(work: Path) -> dict[str, str]:
    """Branch to its commit. One commit a branch, each on top of the one before."""
    names = [f"{'greet' if number % 25 == 0 else 'quiet'}/{PUSHES - number:04}" for number in range(PUSHES)]
    script = []
    for number, name in enumerate(names, start=1):
        script += [f"commit refs/heads/{name}", f"mark :{number}"]
        script += [f"committer Ada <ada@example.org> {1_700_000_000 + number} +0000", "data 4", "Work"]
        script += [f"from {f':{number - 1}' if number > 1 else 'refs/heads/main^0'}"]
        script += [f"M 644 inline notes/{number:04}.txt", "data 1", "x"]
    git(work, "fast-import", "--quiet", given="\n".join(script) + "\n")
    listed = git(
        work, "for-each-ref", "--format=%(refname:lstrip=2) %(objectname)", "refs/heads"
    ).splitlines()
    commits = dict(line.split() for line in listed)
    for at in range(0, PUSHES, TOGETHER):
        git(work, "push", "--quiet", "origin", *names[at : at + TOGETHER])
    return {name: commits[name] for name in names}


def audit(system: System) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, "-m", "turnout", "audit", "--json"],
        cwd=ROOT,
        env=system.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


@pytest.mark.timeout(300)
def test_after_the_sweeper_has_asked_again_every_push_has_one_run(tmp_path: Path) -> None:
    careless = Careless(seed=500)
    hub = Hub(repository=REPOSITORY, git=Repositories(tmp_path / "github"))
    assert hub.git is not None
    hub.git.make(REPOSITORY)
    with StandIn(hub) as github:
        settings = {
            "TURNOUT_GITHUB_URL": github.url,
            "TURNOUT_GITHUB_APP_ID": "7",
            "TURNOUT_GITHUB_APP_KEY": app_key(),
            "TURNOUT_GITHUB_REDELIVER_EVERY": "1",
        }
        with (
            System(tmp_path, settings) as system,
            clone_of(github.clone_url, tmp_path) as work,
            ExitStack() as stack,
        ):
            projects = system.wiring.settings.projects_folder
            projects.mkdir(parents=True, exist_ok=True)
            (projects / "shop.yml").write_text(
                f"project:\n  repository: {REPOSITORY}\n  clone_url: {github.clone_url}\n"
            )
            running: Running = system.start()
            hub.webhook = Webhook(running.urls["webhook"], SECRET, fate=careless)
            stack.callback(hub.webhook.close)
            # GitHub's own API fails now and then, and has a limit
            hub.faults += [
                Fault(r"GET /app/hook/deliveries", 503, times=2),
                Fault(r"POST /app/hook/deliveries", 403, times=1, headers={"retry-after": "2"}),
            ]
            pushed = push_all(work)
            books = system.wiring.auditing.books

            def ended() -> bool:
                return books.runs(LONG_AGO).get("success", 0) >= PUSHES

            wait_until(ended, 180, "every push has a run that has ended", poll=0.25)
            wait_until(lambda: hub.webhook is not None and hub.webhook.quiet, 10, "GitHub is quiet")
            status, account = audit(system)
            print(dict(careless.done), {line["kind"]: line["total"] for line in account["lines"]})
            assert (status, account["unaccounted"], account["notes"]) == (0, 0, []), account
            github_line, ours = account["lines"][:2]
            assert github_line["parts"] == {"here": PUSHES}
            assert ours["parts"] == {"run": PUSHES}
            rows = system.wiring.store.runs(limit=PUSHES + 100)
            assert Counter(row.sha for row in rows) == Counter(pushed.values())
            assert careless.done["dropped"] > PUSHES / 20
            assert careless.done["doubled"] > PUSHES / 20
