"""Repositories with a history, and GitHub's deliveries of pushes to them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

from local.demo.push import git
from turnout.webhook import sign

REPOSITORIES = ("acme/shop", "acme/till", "acme/stock", "acme/mail", "acme/site")
COMMITS = 6
"""In each repository: several pushes may be of one commit, to different branches."""
BRANCHES = ("main", "release/1", "release/2", "fix/tea", "fix/cups")
MESSAGES = ("Sell tea", "Count cups", "Warn of empty shelves", "Print receipts", "Round prices", "Add pots")


@dataclass(frozen=True)
class Delivery:
    """``copies``: how often it is sent; more than once is as GitHub's redelivery. ``body``: the payload, raw."""

    id: str
    repository: str
    body: bytes
    copies: int = 1

    def headers(self, secret: str) -> dict[str, str]:
        return {
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": self.id,
            "X-GitHub-Hook-ID": "292430182",
            "X-Hub-Signature-256": sign(secret.encode(), self.body),
        }


@dataclass(frozen=True)
class Repository:
    """``path``: a bare repository. ``commits``: oldest first."""

    name: str
    path: Path
    commits: Sequence[str]


def make_repositories(folder: Path, pipeline: str) -> list[Repository]:
    """Bare repositories whose every commit holds ``pipeline`` as its pipeline.yml."""
    return [_make(folder / f"{name.replace('/', '-')}.git", name, pipeline) for name in REPOSITORIES]


def _make(path: Path, name: str, pipeline: str) -> Repository:
    path.mkdir(parents=True)
    git(path, "init", "--quiet", "--bare", "--initial-branch=main")
    file = git(path, "hash-object", "-w", "--stdin", given=pipeline)
    commits: list[str] = []
    for number in range(COMMITS):
        read_me = git(path, "hash-object", "-w", "--stdin", given=f"# {name}, {number}\n")
        entries = f"100644 blob {read_me}\tREADME.md\n100644 blob {file}\tpipeline.yml\n"
        made = git(path, "mktree", given=entries)
        parent = ["-p", commits[-1]] if commits else []
        commits.append(git(path, "commit-tree", made, *parent, "-m", MESSAGES[number % len(MESSAGES)]))
    for branch in BRANCHES:
        git(path, "update-ref", f"refs/heads/{branch}", commits[-1])
    return Repository(name, path, commits)


def planned(seed: int, count: int, doubled: float) -> list[tuple[str, int]]:
    """Ids of deliveries, the same for each seed, and how often each is sent: a share, ``doubled``, twice or thrice."""
    random = Random(f"deliveries {seed}")
    found = []
    for _ in range(count):
        copies = random.choice((2, 2, 3)) if random.random() < doubled else 1
        found.append((str(UUID(int=random.getrandbits(128), version=4)), copies))
    return found


def deliveries(seed: int, count: int, repositories: Sequence[Repository], doubled: float) -> list[Delivery]:
    """As `planned`, each a push to one of ``repositories``."""
    random = Random(f"pushes {seed}")
    found = []
    for id, copies in planned(seed, count, doubled):
        repository = random.choice(repositories)
        at = random.randrange(1, len(repository.commits))
        body = json.dumps(_payload(repository, at, random.choice(BRANCHES))).encode()
        found.append(Delivery(id, repository.name, body, copies))
    return found


def _payload(repository: Repository, at: int, branch: str) -> dict[str, Any]:
    """The fields of GitHub's push event, as its documentation describes them."""
    url = f"https://github.com/{repository.name}"
    before, after = repository.commits[at - 1], repository.commits[at]
    author = {"name": "Ada", "email": "ada@example.org", "username": "ada"}
    owner, _, name = repository.name.partition("/")
    head = {
        "id": after,
        "distinct": True,
        "message": MESSAGES[at % len(MESSAGES)],
        "timestamp": "2026-05-04T11:22:33+02:00",
        "url": f"{url}/commit/{after}",
        "author": author,
        "committer": author,
        "added": [],
        "removed": [],
        "modified": ["README.md"],
    }
    return {
        "ref": f"refs/heads/{branch}",
        "before": before,
        "after": after,
        "created": False,
        "deleted": False,
        "forced": False,
        "compare": f"{url}/compare/{before[:12]}...{after[:12]}",
        "commits": [head],
        "head_commit": head,
        "repository": {
            "id": 186853002,
            "name": name,
            "full_name": repository.name,
            "private": False,
            "fork": False,
            "owner": {"name": owner, "login": owner, "id": 21031067, "type": "Organization"},
            "html_url": url,
            "clone_url": f"{url}.git",
            "default_branch": "main",
        },
        "pusher": {"name": "ada", "email": "ada@example.org"},
        "sender": {"login": "ada", "id": 2, "type": "User"},
    }
