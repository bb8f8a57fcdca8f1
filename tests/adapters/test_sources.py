"""The two sources: a git mirror, and GitHub's API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.github.hub import Fault, Hub
from local.github.repositories import Repositories
from local.github.stand_in import StandIn
from tests.contracts.source import Origin, SourceContract
from tests.reporting.test_github_contract import described
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import TokenAuth
from turnout.adapters.github_source import EitherSource, GitHubSource
from turnout.adapters.mirror import GitSource, Mirrors
from turnout.adapters.system_clock import SystemClock
from turnout.core.change import Change
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import Source


@pytest.mark.real
class TestGitSource(SourceContract):
    @pytest.fixture
    def source(self, origin: Origin, tmp_path: Path) -> Source:
        return GitSource(Mirrors(tmp_path / "home"))


@pytest.mark.real
class TestGitHubSource(SourceContract):
    @pytest.fixture
    def github(self, origin: Origin, tmp_path: Path) -> Iterator[StandIn]:
        with StandIn(Hub(git=Repositories(tmp_path))) as running:
            yield running

    @pytest.fixture
    def source(self, github: StandIn) -> Iterator[Source]:
        api = GitHubApi(TokenAuth("ghp_plain"), SystemClock(), base_url=github.url)
        yield GitHubSource(api)
        api.close()

    def test_of_trees_too_large_to_be_told_it_is_not_known(self, github: StandIn) -> None:
        self.repo.on("topic")
        sha = self.repo.commit(**{f"f{number:03}": "" for number in range(300)})
        self.repo.push()
        github.hub.faults.append(Fault("/git/trees/", 200, body={"tree": [], "truncated": True}, done=True))
        assert self.touched(sha, before=self.repo.first) is None

    def test_a_commit_that_is_gone_is_not_taken_for_a_file_that_is_missing(self, github: StandIn) -> None:
        said = {"message": f"No commit found for the ref {'1' * 40}"}
        github.hub.faults.append(Fault("/contents/", 404, body=said))
        with pytest.raises(NotFound, match="No commit found"):
            self.reads.read(self.change("1" * 40), "pipeline.yml")

    def test_a_file_over_a_megabyte_is_refused(self) -> None:
        sha = self.repo.commit(big="x" * 1_000_001)
        self.repo.push()
        with pytest.raises(PermanentError, match="1000001 bytes"):
            self.reads.read(self.change(sha), "big")

    def test_all_that_is_asked_is_what_github_takes(self, github: StandIn) -> None:
        self.repo.on("topic")
        before = self.repo.commit(one="")
        self.repo.push()
        self.repo.on("topic", self.repo.first)
        sha = self.repo.commit(two="")
        self.repo.push()
        self.touched(sha, before=before)
        self.touched(sha, base_branch="main")
        self.reads.head(self.change("", ref="refs/heads/main"))
        self.reads.read(self.change(sha), "odd folder/ü#1.txt")
        contract, calls = described(), github.hub.calls
        assert {call.path.split("/")[4] for call in calls} == {"compare", "git", "commits", "contents"}
        assert [problem for call in calls for problem in contract.problems(call)] == []


class Named:
    """A source that answers with its name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, change: Change, path: str) -> str | None:
        return self.name

    def head(self, change: Change) -> str:
        return self.name

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        return (self.name,)


@pytest.mark.parametrize(("only_there", "name"), [(True, "api"), (False, "git")])
def test_each_change_has_one_source_for_everything(only_there: bool, name: str, tmp_path: Path) -> None:
    source = EitherSource(Named("git"), Named("api"), lambda _: only_there)
    change = Change.model_validate(
        {"kind": "push", "repository": "a/b", "clone_url": "", "ref": "refs/heads/x", "sha": "a" * 40}
    )
    told = (source.read(change, "x"), source.head(change), source.changed_paths(change))
    assert told == (name, name, (name,))
