"""Bare repositories as GitHub serves them: git over HTTP by git's own http-backend, and what its API tells of them."""

from __future__ import annotations

import base64
import os
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.github.git_backend import Request, http_backend

Json = dict[str, Any]
NOBODY = "0" * 40
MOST_FILES = 300
"""Of a comparison. Source: GitHub's REST API, "Compare two commits"."""
LISTED = 20
"""Commits in a push's payload."""
CONFIG = {"http.receivepack": "true", "uploadpack.allowAnySHA1InWant": "true"}
_CHANGES = {"A": "added", "D": "removed", "M": "modified", "R": "renamed", "C": "copied", "T": "changed"}


@dataclass(frozen=True)
class Moved:
    """A ref that a push has moved. ``before``, ``after``: forty zeros where it was not there, is not there."""

    repository: str
    ref: str
    before: str
    after: str


@dataclass
class Repositories:
    """``folder``: below it ``owner/name.git``. ``pushed`` is told of each ref that a push over HTTP has moved."""

    folder: Path
    pushed: Callable[[Moved], None] = lambda _moved: None
    default: str = "main"
    _locks: dict[str, threading.Lock] = field(default_factory=dict, init=False)

    def make(self, repository: str) -> Path:
        path = self.path(repository)
        path.mkdir(parents=True)
        self._run(path, "init", "--quiet", "--bare", f"--initial-branch={self.default}")
        return path

    def path(self, repository: str) -> Path:
        return self.folder / f"{repository}.git"

    def refs(self, repository: str) -> dict[str, str]:
        lines = self._git(repository, "for-each-ref", "--format=%(refname) %(objectname)").splitlines()
        return dict(line.split(" ", 1) for line in lines)

    def serve(self, request: Request) -> tuple[int, dict[str, str], bytes]:
        """One request of git's."""
        repository = request.path.partition(".git/")[0].strip("/")
        if not request.path.endswith("/git-receive-pack") or request.method != "POST":
            return http_backend(self.folder, request, CONFIG)
        with self._locks.setdefault(repository, threading.Lock()):
            before = self.refs(repository)
            answer = http_backend(self.folder, request, CONFIG)
            after = self.refs(repository)
        for ref in sorted(before.keys() | after.keys()):
            old, new = before.get(ref, NOBODY), after.get(ref, NOBODY)
            if old != new:
                self.pushed(Moved(repository, ref, old, new))
        return answer

    def payload(self, moved: Moved, clone_url: str) -> Json:
        """Of the push event."""
        gone, made = moved.after == NOBODY, moved.before == NOBODY
        span = moved.after if made else f"{moved.before}..{moved.after}"
        shas = [] if gone else self._git(moved.repository, "rev-list", f"--max-count={LISTED}", span).split()
        commits = [self._commit(moved.repository, sha) for sha in reversed(shas[:1] if made else shas)]
        owner, name = moved.repository.split("/")
        return {
            "ref": moved.ref,
            "before": moved.before,
            "after": moved.after,
            "created": made,
            "deleted": gone,
            "forced": not gone and not made and self._merge_base(moved) != moved.before,
            "compare": f"https://github.com/{moved.repository}/compare/{moved.before[:12]}...{moved.after[:12]}",
            "commits": commits,
            "head_commit": commits[-1] if commits else None,
            "repository": {
                "id": 1,
                "name": name,
                "full_name": moved.repository,
                "owner": {"login": owner},
                "clone_url": clone_url,
                "default_branch": self.default,
                "fork": False,
            },
            "pusher": {"name": "ada", "email": "ada@example.org"},
            "sender": {"login": "ada", "id": 1},
        }

    def compare(self, repository: str, base: str, head: str) -> Json | None:
        """None: one of the two is not there."""
        try:
            merged = self._git(repository, "merge-base", base, head).strip()
            behind, ahead = self._git(
                repository, "rev-list", "--left-right", "--count", f"{base}...{head}"
            ).split()
            changed = self._git(repository, "diff", "--name-status", "-M", f"{merged}..{head}").splitlines()
            shas = self._git(repository, "rev-list", "--reverse", f"{base}..{head}").split()
        except subprocess.CalledProcessError:
            return None
        files = [line.split("\t") for line in changed]
        return {
            "status": {(False, False): "identical", (True, False): "ahead", (False, True): "behind"}.get(
                (ahead != "0", behind != "0"), "diverged"
            ),
            "ahead_by": int(ahead),
            "behind_by": int(behind),
            "total_commits": len(shas),
            "merge_base_commit": {"sha": merged},
            "commits": [{"sha": sha} for sha in shas],
            "files": [
                {"filename": each[-1], "status": _CHANGES[each[0][0]]}
                | ({"previous_filename": each[1]} if len(each) == 3 else {})
                for each in files[:MOST_FILES]
            ],
        }

    def contents(self, repository: str, path: str, ref: str) -> Json | None:
        """None: there is no such file."""
        try:
            content = self._run(self.path(repository), "cat-file", "blob", f"{ref or 'HEAD'}:{path}").stdout
        except subprocess.CalledProcessError:
            return None
        coded = base64.encodebytes(content).decode()
        return {"type": "file", "path": path, "size": len(content), "encoding": "base64", "content": coded}

    def commit(self, repository: str, ref: str) -> Json | None:
        """Of a ref without ``refs/``, or a commit. None: there is none."""
        for name in (f"refs/{ref}", ref):
            try:
                return {"sha": self._git(repository, "rev-parse", "--verify", f"{name}^{{commit}}").strip()}
            except subprocess.CalledProcessError:
                continue
        return None

    def tree(self, repository: str, sha: str) -> Json | None:
        """All of a commit's files and folders. None: there is no such commit."""
        try:
            lines = self._git(repository, "ls-tree", "-r", "-t", "-z", "--full-tree", sha).split("\0")
        except subprocess.CalledProcessError:
            return None
        entries = [(*line.partition("\t")[0].split(" "), line.partition("\t")[2]) for line in lines if line]
        tree = [{"mode": mode, "type": kind, "sha": id, "path": path} for mode, kind, id, path in entries]
        return {"sha": sha, "tree": tree, "truncated": False}

    def newest(self, repository: str, count: int) -> list[Json]:
        """Commits of the default branch."""
        listed = self._git(repository, "log", f"--max-count={count}", "--format=%H %cI", self.default)
        rows = (line.split() for line in listed.splitlines())
        return [{"sha": sha, "commit": {"committer": {"date": date}}} for sha, date in rows]

    def head(self, repository: str, branch: str) -> str:
        """The commit of a branch; empty: there is none."""
        return self.refs(repository).get(f"refs/heads/{branch}", "")

    def _commit(self, repository: str, sha: str) -> Json:
        message = self._git(repository, "log", "-1", "--format=%B", sha).strip()
        lines = self._git(repository, "show", "--format=", "--name-status", "-m", "--first-parent", sha)
        changed = [line.split("\t") for line in lines.splitlines() if line]
        return {
            "id": sha,
            "message": message,
            "author": {"name": "Ada", "email": "ada@example.org", "username": "ada"},
            "added": [each[-1] for each in changed if each[0] == "A"],
            "removed": [each[-1] for each in changed if each[0] == "D"],
            "modified": [each[-1] for each in changed if each[0] not in "AD"],
        }

    def _merge_base(self, moved: Moved) -> str:
        found = self._run(
            self.path(moved.repository), "merge-base", moved.before, moved.after, check=False
        ).stdout
        return found.decode().strip()

    def _git(self, repository: str, *arguments: str) -> str:
        return self._run(self.path(repository), *arguments).stdout.decode()

    def _run(self, at: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[bytes]:
        environ = {"PATH": os.environ["PATH"], "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
        return subprocess.run(["git", *arguments], cwd=at, env=environ, capture_output=True, check=check)
