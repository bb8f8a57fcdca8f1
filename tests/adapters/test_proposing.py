"""A pull request that changes the pipeline file, on a real repository and store: what differs is kept with its run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.github.stand_in import StandIn
from tests.contracts.source import Origin
from tests.test_orchestration import FakeClock, FakeProducer
from turnout.adapters.config_files import read_pipeline, read_project
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import TokenAuth
from turnout.adapters.github_hub import GitHubHub
from turnout.adapters.mirror import GitSource, Mirrors
from turnout.adapters.store.recorded import SqlRecordedChanges
from turnout.adapters.store.sql_store import SqlStore, open_store
from turnout.core import events as e
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.evolve import replay
from turnout.core.ids import run_id
from turnout.core.model import ChangeKind
from turnout.core.ports.recorded import Unknown
from turnout.core.proposal import Proposal
from turnout.core.run import Run
from turnout.core.simulation import Simulation
from turnout.orchestration import Orchestrator
from turnout.planning import RepositoryPlanner
from turnout.proposing import Proposing
from turnout.reporting.deliver import report
from turnout.reporting.github_channel import GitHubChannel
from turnout.simulating import Simulating

OLD = """
pipeline:
  on: {push: [main], pull_request: {}}
  stages:
    - lint
    - {name: ship, agent: script, with: {run: make}, when: {branch: [main]}, environment: live, approval: {by: "@ada"}}
"""
NEW = """
pipeline:
  on: {push: [main, "dev/*"], pull_request: {}, tag: ["v*"]}
  stages:
    - lint
    - test
    - {name: ship, agent: script, with: {run: make}, when: {branch: [main]}, environment: live, secrets: [KEY]}
"""


class House:
    """An orchestrator over a store and a repository, whose ``main`` has `OLD`."""

    def __init__(self, store: SqlStore, origin: Origin, mirrors: Mirrors) -> None:
        self.store, self.origin, self.clock = store, origin, FakeClock()
        source = GitSource(mirrors)
        parse = partial(read_pipeline)
        self.planner = RepositoryPlanner(self, source, parse, Proposing(source, parse, self.replay))
        self.orchestrator = Orchestrator(store, FakeProducer(), self.planner, self.clock, b"key")
        self.base = origin.commit(pipeline_dot_yml=OLD)
        origin.push()
        self._number = 0

    def find(self, repository: str) -> ProjectConfig:
        return read_project("project: {repository: acme/shop, secrets: {KEY: {env: KEY}}}", "shop.yml")

    def replay(self, project: str, old: str | None, new: str, file: str, stranger: bool) -> Simulation:
        known = SqlRecordedChanges(self.store.database)
        simulating = Simulating(Unknown(known) if stranger else known, self, read_pipeline, self.clock)
        return simulating(project, old, new, file=file)

    def hear(self, **told: Any) -> Run:
        self._number += 1
        told = {"repository": "acme/shop", "clone_url": str(self.origin.bare), **told}
        id = f"t{self._number}"
        request = m.RunRequested(trigger=id, change=Change.model_validate(told), delivery=id)
        self.orchestrator.handle(m.wrap(request, id=id, source="/test", at=self.clock.now()))
        run = self.store.load(run_id(id))
        assert run is not None
        return run

    def push(self) -> Run:
        return self.hear(kind=ChangeKind.PUSH, ref="refs/heads/main", branch="main", sha=self.base)

    def pull_request(self, *, fork: bool = False, **files: str) -> Run:
        self.origin.on("topic", self.base)
        sha = self.origin.commit(**files)
        self.origin.push("HEAD:refs/pull/7/head")
        return self.hear(
            kind=ChangeKind.PULL_REQUEST,
            ref="refs/pull/7/head",
            branch="topic",
            base_branch="main",
            number=7,
            sha=sha,
            before=self.base,
            fork=fork,
            config_sha=self.base if fork else "",
        )


@pytest.fixture
def house(sqlite_database: str, tmp_path: Path) -> Iterator[House]:
    store = open_store(sqlite_database, embedded=False, synchronous="NORMAL")
    yield House(store, Origin(tmp_path), Mirrors(tmp_path / "home"))
    store.close()


def proposal(run: Run) -> Proposal:
    assert run.proposal is not None
    return run.proposal


def test_what_a_pull_request_would_change_is_recorded_with_its_run(house: House) -> None:
    house.push()
    run = house.pull_request(pipeline_dot_yml=NEW)
    assert list(run.stages) == ["lint", "test", "ship"], "its own file"
    found = proposal(run)
    assert {each.sentence for each in found.here.differences} >= {"`test` would run"}
    assert {each.sentence for each in found.merged.weaker} == {
        "`ship` gets secret `KEY`",
        "`ship` loses approval `1 by @ada within 1d`",
    }
    assert found.triggers == (
        '- on.push: {"branches": ["main"]}',
        '+ on.push: {"branches": ["main", "dev/*"]}',
        '+ on.tag: {"tags": ["v*"]}',
    )
    assert (found.looked, found.differing, found.weaker) == (1, 1, 1)
    assert "1 of 1 recorded change of acme/shop would go otherwise" in found.replayed


@pytest.mark.real
def test_the_pull_request_is_told_what_it_would_change(house: House) -> None:
    house.push()
    run = house.pull_request(fork=True, pipeline_dot_yml=NEW)
    with StandIn() as github:
        api = GitHubApi(TokenAuth("ghp_plain"), house.clock, base_url=github.url)
        channel = GitHubChannel(lambda _: GitHubHub(api))
        message = m.ReportRequested(
            run=run.id, version=run.version, fact="approval:lint", project=run.project
        )
        report(message, house.store, (channel,), house.clock)
        api.close()
    (comment,) = github.hub.comments.values()
    assert "**The pull request changes `pipeline.yml`** (the base branch's file runs" in comment["body"]
    assert "- ⚠️ weakens security: `ship` gets secret `KEY`" in comment["body"]
    assert "1 of 1 recorded change of acme/shop would go otherwise" in comment["body"]


def test_of_a_fork_the_bases_file_runs_and_its_own_is_compared_as_if_it_were_merged(house: House) -> None:
    house.push()
    run = house.pull_request(fork=True, pipeline_dot_yml=NEW)
    assert list(run.stages) == ["lint", "ship"], "the base's file"
    found = proposal(run)
    assert "`ship` gets secret `KEY`" in {each.sentence for each in found.merged.weaker}
    assert found.weaker == 1


@pytest.mark.real
@pytest.mark.parametrize("files", [{"a_dot_py": "a = 2\n"}, {"pipeline_dot_yml": OLD + "# a comment\n"}])
def test_a_pull_request_that_changes_nothing_of_it_proposes_nothing(house: House, files: Any) -> None:
    assert house.pull_request(**files).proposal is None


@pytest.mark.real
def test_what_the_base_has_changed_since_is_not_the_pull_requests(house: House) -> None:
    house.origin.on("main", house.base)
    forked, house.base = house.base, house.origin.commit(pipeline_dot_yml=NEW)
    house.origin.push()
    house.origin.on("topic", forked)
    sha = house.origin.commit(a_dot_py="a = 2\n")
    house.origin.push("HEAD:refs/pull/7/head")
    told = {"branch": "topic", "base_branch": "main", "number": 7, "sha": sha, "before": house.base}
    run = house.hear(kind=ChangeKind.PULL_REQUEST, ref="refs/pull/7/head", **told)
    assert run.proposal is None


def test_a_file_of_a_fork_that_is_not_valid_is_told_and_breaks_nothing(house: House) -> None:
    run = house.pull_request(fork=True, pipeline_dot_yml="pipeline: {stagez: []}")
    assert not run.problems
    assert "stagez" in proposal(run).problem


@pytest.mark.real
def test_a_fork_that_takes_the_file_away_would_end_all_runs(house: House) -> None:
    (house.origin.tree / "pipeline.yml").unlink()
    found = proposal(house.pull_request(fork=True))
    assert found.merged.differences[0].what == "removed"


def test_patterns_of_a_stranger_are_not_compared_with_files(house: House) -> None:
    slow = "**/" + "*a" * 120
    text = NEW.replace("- test", f"- {{agent: test, when: {{paths: ['{slow}']}}}}")
    run = house.pull_request(fork=True, pipeline_dot_yml=text, **{"a" * 60: ""})
    assert "`test` would run" in {each.sentence for each in proposal(run).here.differences}


@pytest.mark.real
def test_a_proposal_is_recorded_once_and_replayed_as_it_was(house: House) -> None:
    run = house.pull_request(pipeline_dot_yml=NEW)
    history = [stored.event for stored in house.store.events(run.id)]
    assert replay([e.load(e.dump(event)) for event in history]) == run
    old = e.dump(history[0]).partition(',"proposal":')[0] + "}"
    loaded = e.load(old)
    assert isinstance(loaded, e.RunCreated)
    assert loaded.proposal is None
