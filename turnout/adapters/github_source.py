"""The `Source` port over GitHub's REST API, where no git can read the repository: files and comparisons of a commit.

Permission to read: ``contents``.
Source: https://docs.github.com/en/rest/repos/contents, /rest/commits/commits (compare), /rest/git/trees
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from turnout.adapters.github_api import GitHubApi
from turnout.adapters.source_text import check_size, text_of
from turnout.core.change import Change
from turnout.core.comparing import Base, base_of
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import Source

MOST_LISTED = 300
"""Files of a comparison: of one with so many, GitHub may have left some out."""
_NO_COMMIT = "no commit found"


@dataclass(frozen=True, slots=True)
class GitHubSource:
    api: GitHubApi

    def read(self, change: Change, path: str) -> str | None:
        sha = change.config_sha or change.sha
        try:
            found = self.api.get(change.repository, f"/contents/{_part(path)}", ref=sha)
        except NotFound as error:
            if _NO_COMMIT in error.message.lower():
                raise
            return None
        if not isinstance(found, dict) or found.get("type") != "file":
            return None
        check_size(path, int(found.get("size") or 0))
        return text_of(path, base64.b64decode(found.get("content") or ""))

    def head(self, change: Change) -> str:
        ref = _part(change.ref.removeprefix("refs/"))
        return str(self.api.get(change.repository, f"/commits/{ref}")["sha"])

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        """GitHub compares a commit only with where it has parted from another, and lists 300 files at most: what it
        cannot tell so is told by the trees of both commits.
        """
        base = base_of(change)
        if base is None:
            return None
        try:
            found = self._compared(change, base)
            parted = str(found["merge_base_commit"]["sha"])
            files = found.get("files") or []
            if (base.parted or parted == base.sha) and len(files) < MOST_LISTED:
                names = {
                    each[key] for each in files for key in ("filename", "previous_filename") if each.get(key)
                }
                return tuple(sorted(names))
            return self._differing(change.repository, parted if base.parted else base.sha, change.sha)
        except PermanentError:
            return None  # histories that share nothing, a commit rewritten away: not known

    def _compared(self, change: Change, base: Base) -> dict[str, Any]:
        for since in filter(None, (base.sha, base.branch)):
            try:
                found = self.api.get(change.repository, f"/compare/{_part(since)}...{change.sha}")
            except NotFound:
                if since == base.branch or not base.branch:
                    raise
            else:
                return dict(found)
        raise PermanentError("there is nothing to compare with")

    def _differing(self, repository: str, old: str, new: str) -> tuple[str, ...] | None:
        before, after = self._tree(repository, old), self._tree(repository, new)
        if before is None or after is None:
            return None
        return tuple(
            sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))
        )

    def _tree(self, repository: str, sha: str) -> dict[str, tuple[str, str]] | None:
        """Mode and object of each file; None: GitHub does not tell of them all."""
        found = self.api.get(repository, f"/git/trees/{sha}", recursive=1)
        if found.get("truncated"):
            return None
        return {each["path"]: (each["mode"], each["sha"]) for each in found["tree"] if each["type"] != "tree"}


@dataclass(frozen=True, slots=True)
class EitherSource:
    """Git; but GitHub's API for what ``only_there`` says that git cannot read."""

    git: Source
    api: Source
    only_there: Callable[[Change], bool]

    def read(self, change: Change, path: str) -> str | None:
        return self._of(change).read(change, path)

    def head(self, change: Change) -> str:
        return self._of(change).head(change)

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        return self._of(change).changed_paths(change)

    def _of(self, change: Change) -> Source:
        return self.api if self.only_there(change) else self.git


def _part(text: str) -> str:
    """As one part of a path."""
    return quote(text, safe="")
