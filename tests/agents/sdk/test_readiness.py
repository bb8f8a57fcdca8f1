"""The tree that is made ready for the next attempt is git's, also where it was made without git."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.sdk import small_tree as module
from agents.sdk.readiness import Readiness
from agents.sdk.small_tree import small_tree
from tests.adapters.repositories import commit, git, repository
from turnout.adapters.mirror import Mirror, Mirrors
from turnout.runtimes.sandbox import Limits, NoSandbox

NONE = NoSandbox("not needed for this", None)


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    path = tmp_path / "origin"
    repository(path, README="hello\n", src__deep__run="#!/bin/sh\n", empty="")
    (path / "src/deep/run").chmod(0o755)
    (path / "away").symlink_to("../nowhere/ü")
    (path / "with a space").mkdir()
    (path / "with a space/bytes").write_bytes(bytes(range(256)))
    commit(path)
    return path


def ready_tree(ready: Readiness, mirror: Mirror, sha: str, into: Path) -> Path:
    ready.again = (mirror, sha, 0.0)
    ready.for_the_next(NONE, Limits(), into.parent / "home")
    assert ready.move_tree(mirror, sha, into)
    return into


def test_the_second_tree_of_a_commit_is_made_without_git_and_is_the_same(
    origin: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = git(origin, "rev-parse", "HEAD")
    mirror = Mirrors(tmp_path / "mirrors").of(str(origin))
    mirror.ensure(sha)
    ready = Readiness()
    ready_tree(ready, mirror, sha, tmp_path / "first")
    (tmp_path / "first/README").write_text("what a tool has made of it\n")
    with monkeypatch.context() as without:
        without.setattr(Mirror, "checkout", lambda *_: pytest.fail("git was asked"))
        second = ready_tree(ready, mirror, sha, tmp_path / "second")
    ready.close()
    git(second, "diff-files", "--quiet")  # no refresh before: the index must know the files as they are
    assert git(second, "status", "--porcelain") == ""
    assert git(second, "rev-parse", "HEAD") == sha
    assert os.access(second / "src/deep/run", os.X_OK)
    assert not os.access(second / "README", os.X_OK)
    assert os.readlink(second / "away") == "../nowhere/ü"
    (second / "README").write_text("HELLO\n")
    assert git(second, "status", "--porcelain") == "M README"


@pytest.mark.real  # nothing outside is needed, but time is
def test_a_tag_that_came_meanwhile_is_in_the_next_tree(origin: Path, tmp_path: Path) -> None:
    sha = git(origin, "rev-parse", "HEAD")
    mirror = Mirrors(tmp_path / "mirrors").of(str(origin))
    mirror.ensure(sha)
    ready = Readiness()
    ready_tree(ready, mirror, sha, tmp_path / "first")
    git(origin, "tag", "release/1", sha)
    mirror.ensure(commit(origin, README="new\n"))
    assert git(ready_tree(ready, mirror, sha, tmp_path / "second"), "tag") == "release/1"
    git(origin, "tag", "release/2", sha)
    mirror.ensure(commit(origin, README="newer\n"))
    assert git(ready_tree(ready, mirror, sha, tmp_path / "third"), "tag") == "release/1\nrelease/2"
    ready.close()


def test_what_is_not_small_is_not_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = tmp_path / "tree"
    (tree / "below").mkdir(parents=True)
    (tree / "below/file").write_bytes(b"x" * 5000)
    assert small_tree(tree) is not None
    monkeypatch.setattr(module, "MOST_ENTRIES", 1)
    assert small_tree(tree) is None
    monkeypatch.setattr(module, "MOST_ENTRIES", 2)
    monkeypatch.setattr(module, "MOST_BYTES", 5000)
    assert small_tree(tree) is None
