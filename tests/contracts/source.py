"""Whoever reads a repository tells which files a change touches, or that it is not known; on a real one."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.adapters.repositories import commit, git, repository
from turnout.core.change import Change
from turnout.core.errors import PermanentError
from turnout.core.model import ChangeKind
from turnout.core.ports import Source

NONE = "0" * 40


class Origin:
    """A working tree, and the bare repository ``acme/shop`` that it is pushed to."""

    def __init__(self, folder: Path) -> None:
        self.tree = folder / "tree"
        self.bare = folder / "acme" / "shop.git"
        self.first = repository(self.tree, a_dot_py="a = 1\n", docs__b_dot_md="b\n")
        self.bare.parent.mkdir(parents=True)
        git(folder, "clone", "--quiet", "--bare", str(self.tree), str(self.bare))
        git(self.tree, "remote", "add", "origin", str(self.bare))

    def on(self, branch: str, at: str = "HEAD") -> None:
        git(self.tree, "checkout", "--quiet", "-B", branch, at)

    def commit(self, **files: str) -> str:
        return commit(self.tree, **files)

    def push(self, ref: str = "") -> None:
        git(self.tree, "push", "--quiet", "--force", "origin", ref or "HEAD")


class SourceContract:
    @pytest.fixture
    def origin(self, tmp_path: Path) -> Origin:
        return Origin(tmp_path)

    @pytest.fixture
    def source(self, origin: Origin) -> Source:
        raise NotImplementedError("the subclass gives the source")

    @pytest.fixture
    def clone_url(self, origin: Origin) -> str:
        return str(origin.bare)

    @pytest.fixture(autouse=True)
    def _parts(self, origin: Origin, source: Source, clone_url: str) -> None:
        self.repo, self.reads, self.url = origin, source, clone_url

    def change(self, sha: str, kind: ChangeKind = ChangeKind.PUSH, **more: str) -> Change:
        told = {"kind": kind, "repository": "acme/shop", "clone_url": self.url, "sha": sha}
        return Change.model_validate({"ref": "refs/heads/topic", "branch": "topic", **told, **more})

    def touched(self, sha: str, kind: ChangeKind = ChangeKind.PUSH, **more: str) -> tuple[str, ...] | None:
        return self.reads.changed_paths(self.change(sha, kind, **more))

    def test_a_push_touches_what_differs_from_the_commit_before(self) -> None:
        self.repo.commit(one="")
        sha = self.repo.commit(a_dot_py="a = 2\n")
        self.repo.push()
        assert self.touched(sha, before=self.repo.first) == ("a.py", "one")

    def test_what_a_push_does_and_undoes_it_does_not_touch(self) -> None:
        self.repo.commit(a_dot_py="a = 2\n")
        sha = self.repo.commit(a_dot_py="a = 1\n")
        self.repo.push()
        assert self.touched(sha, before=self.repo.first) == ()

    def test_an_empty_commit_touches_nothing(self) -> None:
        sha = self.repo.commit()
        self.repo.push()
        assert self.touched(sha, before=self.repo.first) == ()

    def test_a_file_that_is_moved_is_touched_at_both_places(self) -> None:
        git(self.repo.tree, "mv", "a.py", "z.py")
        sha = self.repo.commit()
        self.repo.push()
        assert self.touched(sha, before=self.repo.first) == ("a.py", "z.py")

    def test_a_push_that_makes_a_branch_touches_what_is_not_in_the_default_branch(self) -> None:
        self.repo.on("topic")
        sha = self.repo.commit(two="")
        self.repo.push()
        self.repo.on("main", self.repo.first)
        self.repo.commit(other="")
        self.repo.push()
        assert self.touched(sha, before=NONE, base_branch="main") == ("two",)

    def test_a_branch_that_is_made_without_a_commit_touches_nothing(self) -> None:
        self.repo.on("topic")
        self.repo.push()
        assert self.touched(self.repo.first, base_branch="main") == ()

    def test_what_the_first_branch_touches_is_not_known(self) -> None:
        assert self.touched(self.repo.first, before=NONE) is None

    def test_a_force_push_touches_what_differs_from_the_commit_that_it_left_behind(self) -> None:
        self.repo.on("topic")
        before = self.repo.commit(dropped="", kept="")
        self.repo.push()
        self.repo.on("main", self.repo.first)
        base = self.repo.commit(main="")
        self.repo.push()
        self.repo.on("topic", base)
        sha = self.repo.commit(kept="")
        self.repo.push()
        assert self.touched(sha, before=before) == ("dropped", "main")

    def test_a_force_push_over_a_commit_that_is_gone_is_not_known(self) -> None:
        self.repo.on("topic")
        before = self.repo.commit(dropped="")
        self.repo.push()
        self.repo.on("topic", self.repo.first)
        sha = self.repo.commit(kept="")
        self.repo.push()
        shutil.rmtree(self.repo.bare / "objects" / before[:2])
        assert self.touched(sha, before=before) is None

    def test_all_files_are_told_however_many(self) -> None:
        self.repo.on("topic")
        names = tuple(f"f{number:03}" for number in range(350))
        sha = self.repo.commit(**dict.fromkeys(names, ""))
        self.repo.push()
        assert self.touched(sha, before=self.repo.first) == names
        assert self.touched(sha, ChangeKind.PULL_REQUEST, base_branch="main") == names

    def test_a_pull_request_touches_what_it_would_bring_into_its_base(self) -> None:
        self.repo.on("topic")
        self.repo.commit(one="")
        sha = self.repo.commit(two="")
        self.repo.push()
        self.repo.on("main", self.repo.first)
        base = self.repo.commit(one="other", main="")
        self.repo.push()
        told = {"before": base, "base_branch": "main"}
        assert self.touched(sha, ChangeKind.PULL_REQUEST, **told) == ("one", "two")

    def test_a_pull_request_is_told_the_same_after_it_was_merged(self) -> None:
        self.repo.on("topic")
        sha = self.repo.commit(one="")
        self.repo.push()
        self.repo.push("HEAD:refs/heads/main")
        told = {"before": self.repo.first, "base_branch": "main"}
        assert self.touched(sha, ChangeKind.PULL_REQUEST, **told) == ("one",)

    def test_a_pull_request_into_a_rewritten_base_is_compared_with_what_the_base_is_now(self) -> None:
        self.repo.on("topic")
        sha = self.repo.commit(one="")
        self.repo.push()
        told = {"before": "1" * 40, "base_branch": "main"}
        assert self.touched(sha, ChangeKind.PULL_REQUEST, **told) == ("one",)

    @pytest.mark.parametrize("kind", [ChangeKind.TAG, ChangeKind.SCHEDULE, ChangeKind.DISPATCH])
    def test_what_is_about_a_state_and_not_about_a_change_touches_nobody_knows_what(
        self, kind: ChangeKind
    ) -> None:
        assert self.touched(self.repo.first, kind, base_branch="main") is None

    def test_histories_that_share_nothing_are_not_compared(self) -> None:
        git(self.repo.tree, "checkout", "--quiet", "--orphan", "topic")
        sha = self.repo.commit(one="")
        self.repo.push()
        assert self.touched(sha, base_branch="main") is None

    @pytest.mark.parametrize("ref", ["refs/heads/main", "refs/heads/team/x", "refs/tags/v1"])
    def test_the_commit_of_a_ref_is_told_also_of_an_annotated_tag(self, ref: str) -> None:
        git(self.repo.tree, "tag", "--annotate", "--message", "one", "v1")
        git(self.repo.tree, "push", "--quiet", "origin", "v1", "HEAD:refs/heads/team/x")
        assert self.reads.head(self.change("", ref=ref)) == self.repo.first

    def test_a_ref_that_is_not_there_is_refused(self) -> None:
        with pytest.raises(PermanentError):
            self.reads.head(self.change("", ref="refs/heads/none"))

    def test_a_file_is_read_at_the_commit_and_what_is_none_is_told(self) -> None:
        sha = self.repo.commit(a_dot_py="\ufeffä\n", odd__ü_dot_txt="x")
        self.repo.push()
        change = self.change(sha)
        assert self.reads.read(change, "a.py") == "ä\n"
        assert self.reads.read(change, "odd/ü.txt") == "x"
        assert self.reads.read(change, "docs") is None
        assert self.reads.read(change, "none.yml") is None
        assert self.reads.read(change.with_(config_sha=self.repo.first), "a.py") == "a = 1\n"
