"""A real git repository with a real push to it, and GitHub's payload for that push."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

SAMPLE = Path(__file__).resolve().parents[1] / "sample"
REPOSITORY = "acme/shop"
GIT_ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
}


@dataclass(frozen=True)
class Pushed:
    """``payload``: the webhook's body, raw."""

    before: str
    after: str
    payload: bytes


@dataclass(frozen=True)
class Shop:
    """The sample as a repository: ``work`` is somebody's clone of the bare ``remote``."""

    work: Path
    remote: Path

    def push(self, message: str) -> Pushed:
        """What was changed in the clone, or nothing at all, as a commit."""
        before = git(self.work, "rev-parse", "HEAD")
        _commit(self.work, message)
        git(self.work, "push", "--quiet", "origin", "main")
        after = git(self.work, "rev-parse", "HEAD")
        return Pushed(before, after, json.dumps(_payload(self.work, before, after)).encode())

    def edit(self, path: str, old: str, new: str) -> None:
        """Raises: ValueError when ``old`` is not in the file."""
        file = self.work / path
        text = file.read_text()
        if old not in text:
            raise ValueError(f"{path} does not hold {old!r}")
        file.write_text(text.replace(old, new))


def make_shop(folder: Path, stages: Sequence[str], base: str = "") -> Shop:
    """``folder/shop.git`` with the sample in it; its pipeline has those of its ``stages`` only, and its image begins
    with ``base``."""
    work, remote = folder / "shop", folder / "shop.git"
    for each in (work, remote):
        if each.exists():
            shutil.rmtree(each)
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--quiet", "--bare", "--initial-branch=main", str(remote))
    git(folder, "clone", "--quiet", str(remote), str(work))
    shutil.copytree(
        SAMPLE, work, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info")
    )
    file = work / "pipeline.yml"
    content = yaml.safe_load(file.read_text())
    every = content["pipeline"]["stages"]
    kept = [each for each in every if (each if isinstance(each, str) else each["name"]) in stages]
    for each in kept:
        if base and not isinstance(each, str) and each["agent"] == "build":
            each["with"]["build_args"]["BASE"] = base
    content["pipeline"]["stages"] = kept
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    git(work, "checkout", "--quiet", "-B", "main")
    _commit(work, "Sell tea")
    git(work, "push", "--quiet", "origin", "main")
    return Shop(work, remote)


def _payload(work: Path, before: str, after: str) -> dict[str, Any]:
    """The fields of GitHub's push event, as its documentation describes them."""
    author = {"name": "Ada", "email": "ada@example.org", "username": "ada"}
    url = f"https://github.com/{REPOSITORY}"
    head = {
        "id": after,
        "tree_id": git(work, "rev-parse", "HEAD^{tree}"),
        "distinct": True,
        "message": git(work, "log", "-1", "--format=%B"),
        "timestamp": git(work, "log", "-1", "--format=%cI"),
        "url": f"{url}/commit/{after}",
        "author": author,
        "committer": author,
        "added": [],
        "removed": [],
        "modified": git(work, "diff", "--name-only", before, after).splitlines(),
    }
    return {
        "ref": "refs/heads/main",
        "before": before,
        "after": after,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": f"{url}/compare/{before[:12]}...{after[:12]}",
        "commits": [head],
        "head_commit": head,
        "repository": {
            "id": 1,
            "name": "shop",
            "full_name": REPOSITORY,
            "private": False,
            "fork": False,
            "html_url": url,
            "clone_url": f"{url}.git",
            "default_branch": "main",
        },
        "pusher": {"name": "ada", "email": "ada@example.org"},
        "sender": {"login": "ada", "id": 2, "type": "User"},
    }


def _commit(work: Path, message: str) -> None:
    git(work, "add", "--all")
    git(work, "commit", "--quiet", "--allow-empty", "-m", message)


def git(at: Path, *arguments: str, given: str | None = None, within: float | None = None) -> str:
    """What git says in the folder. ``given``: its input. ``within``: seconds, None: as long as it takes.

    Raises: subprocess.CalledProcessError, subprocess.TimeoutExpired.
    """
    done = subprocess.run(
        ["git", "-c", "commit.gpgsign=false", *arguments],
        cwd=at,
        env=os.environ | GIT_ENVIRONMENT,
        input=given,
        check=True,
        capture_output=True,
        text=True,
        timeout=within,
    )
    return done.stdout.strip()
