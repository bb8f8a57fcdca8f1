"""A repository on the stand-in for GitHub, pushes to it by git, and what becomes of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from local.demo.push import git
from tests.cloud.lists import asked
from tests.cloud.stack import CHANNEL, Cloud
from tests.waiting import wait_until
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core.run import Run

FILES = {
    "pipeline.yml": """\
pipeline:
  stages:
    - lint
    - name: unit
      agent: script
      with: {run: "echo $TURNOUT_RUN >>%(effects)s; python3 -m unittest -q test_cart"}
  notify_on_success: true
""",
    "pyproject.toml": '[tool.ruff.lint]\nselect = ["E", "F"]\n',
    "cart.py": "def total(prices):\n    return sum(prices)\n",
    "test_cart.py": """\
import unittest

import cart


class Cart(unittest.TestCase):
    def test_total(self):
        self.assertEqual(cart.total([1, 2]), 3)
""",
}


@dataclass(frozen=True)
class Shop:
    """``work``: somebody's clone. ``effects``: a line for each time that the stage `unit` was done."""

    cloud: Cloud
    work: Path
    effects: Path

    @classmethod
    def cloned(cls, cloud: Cloud) -> Shop:
        made = cls(cloud, cloud.home / "clone", cloud.home / "effects.txt")
        made.work.mkdir()
        made.effects.touch()
        made.git("init", "--quiet", "--initial-branch=main")
        made.git("remote", "add", "origin", cloud.github.clone_url)
        return made

    @cached_property
    def store(self) -> SqlStore:
        """As the database's own user, who may look at everything."""
        return open_store(self.cloud.database.url, embedded=False)

    def push(self, message: str, **files: str) -> str:
        """The run that it becomes, once there is one."""
        return self.run_of(self.pushed(message, **files))

    def run_of(self, sha: str) -> str:
        def known() -> str:
            return next((row.id for row in self.store.runs(limit=50) if row.sha == sha), "")

        return self.until(known, f"there is a run of {sha}")

    def pushed(self, message: str, **files: str) -> str:
        """The commit. ``files``: by their names, `__` for `.`."""
        given = {name.replace("__", "."): text for name, text in files.items()}
        if not (self.work / "pipeline.yml").exists():
            given = FILES | given
        for name, text in given.items():
            (self.work / name).write_text(text.replace("%(effects)s", str(self.effects)))
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "-m", message)
        sha = self.git("rev-parse", "HEAD")
        self.git("push", "--quiet", "origin", "main")
        return sha

    def until(self, known: Callable[[], str], message: str) -> str:
        return wait_until(known, 60, message, poll=0.2)

    def ended(self, ids: Sequence[str], within: float = 150) -> list[Run]:
        def all_() -> list[Run]:
            found = [run for each in ids if (run := self.store.load(each)) is not None and run.finished]
            return found if len(found) == len(ids) else []

        return wait_until(all_, within, "every run ends", poll=0.2)

    def refused(self) -> list[str]:
        """What the database or the brokers did not let a part do."""
        log = self.cloud.database.log.splitlines()
        denied = asked(self.cloud.broker.decisions, "denied")
        return [each for each in log if "|42501|" in each] + [str(rule) for rule in denied]

    def messages(self) -> list[Any]:
        return self.cloud.slack.workspace.messages(CHANNEL)

    def git(self, *arguments: str) -> str:
        return git(self.work, *arguments, within=60)
