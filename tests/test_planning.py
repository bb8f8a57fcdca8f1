from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from turnout.adapters.config_files import read_pipeline
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.errors import InvalidConfig, NotFound, TransientError
from turnout.core.model import ChangeKind
from turnout.core.plan import Plan
from turnout.planning import Known, RepositoryPlanner

TEXT = "pipeline: {stages: [lint, test]}\n"
SHOP = ProjectConfig(repository="acme/shop")


@dataclass
class Remote:
    """Repositories: what stands in a file, by commit. ``asked``: what was read."""

    files: dict[tuple[str, str], str] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    away: bool = False
    paths: tuple[str, ...] | TransientError | None = None

    def read(self, change: Change, path: str) -> str | None:
        if self.away:
            raise TransientError("the remote is away")
        self.asked.append((change.sha, path))
        return self.files.get((change.sha, path))

    def head(self, change: Change) -> str:
        raise NotImplementedError("nothing here asks for it")

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        if isinstance(self.paths, TransientError):
            raise self.paths
        return self.paths


@dataclass
class Desk:
    """The operator's projects and a planner; ``parsed`` counts."""

    remote: Remote = field(default_factory=Remote)
    project: ProjectConfig | None = SHOP
    parsed: int = 0
    change: Change | None = None

    def __post_init__(self) -> None:
        self.planner = RepositoryPlanner(self, self.remote, self.parse)

    def find(self, repository: str) -> ProjectConfig | None:
        return self.project

    def parse(self, text: str, name: str, project: ProjectConfig) -> PipelineConfig:
        self.parsed += 1
        return read_pipeline(text, name, project)

    def plan(self, sha: str = "a" * 40, change: Change | None = None, **more: str) -> Plan:
        change = change or Change(
            kind=ChangeKind.PUSH,
            repository="acme/shop",
            clone_url="/srv/shop.git",
            ref="refs/heads/main",
            sha=sha,
            branch="main",
        )
        self.remote.files.setdefault((sha, "pipeline.yml"), TEXT)
        planned = self.planner(m.RunRequested(trigger="t", change=change, **more))
        found, self.change = planned.plan, planned.change
        assert isinstance(found, Plan)
        return found


def test_a_commit_is_read_once_and_a_text_parsed_once() -> None:
    desk = Desk()
    first = desk.plan()
    assert desk.plan() == first
    assert desk.remote.asked == [("a" * 40, "pipeline.yml")]
    assert desk.plan("b" * 40) == first
    assert len(desk.remote.asked) == 2
    assert desk.parsed == 1


def test_a_commit_that_is_known_is_planned_while_the_remote_is_away() -> None:
    desk = Desk()
    first = desk.plan()
    desk.remote.away = True
    assert desk.plan() == first
    with pytest.raises(TransientError):
        desk.plan("b" * 40)


def test_another_file_of_the_same_commit_is_another_file() -> None:
    desk = Desk()
    desk.remote.files["a" * 40, "other.yml"] = "pipeline: {stages: [lint]}\n"
    assert [stage.name for stage in desk.plan().stages] == ["lint", "test"]
    assert [stage.name for stage in desk.plan(pipeline_file="other.yml").stages] == ["lint"]


def test_a_name_that_may_come_to_mean_another_commit_is_read_each_time() -> None:
    desk = Desk()
    desk.plan("main")
    desk.remote.files["main", "pipeline.yml"] = "pipeline: {stages: [lint]}\n"
    assert [stage.name for stage in desk.plan("main").stages] == ["lint"]


def test_a_text_is_checked_anew_when_the_project_has_changed() -> None:
    desk = Desk()
    text = "pipeline: {stages: [{name: ship, agent: script, with: {run: make}, environment: live}]}\n"
    desk.remote.files["a" * 40, "pipeline.yml"] = text
    desk.plan()
    desk.project = SHOP.model_validate({"repository": "acme/shop", "environments": {"staging": {}}})
    with pytest.raises(InvalidConfig, match="live"):
        desk.plan()


def test_a_broken_file_is_as_broken_the_second_time() -> None:
    desk = Desk()
    desk.remote.files["a" * 40, "pipeline.yml"] = "pipeline: {stagez: []}\n"
    for _ in range(2):
        with pytest.raises(InvalidConfig, match="stagez"):
            desk.plan()


def test_a_commit_without_the_file_says_which_file_is_missing() -> None:
    desk = Desk()
    with pytest.raises(InvalidConfig, match="no such file at aaaaaaaaaaaa"):
        desk.plan(pipeline_file="none.yml")


def test_a_delivery_of_a_repository_that_nobody_serves_is_refused() -> None:
    desk = Desk(project=None)
    assert desk.plan().project == "acme/shop"
    with pytest.raises(NotFound, match="no project serves"):
        desk.plan(delivery="d1")


def test_what_was_not_asked_for_longest_is_forgotten_first() -> None:
    known: Known[int] = Known(2)
    for key in "ab":
        known.keep(key, ord(key))
    assert known.find("a") == ord("a")
    known.keep("c", 3)
    assert [known.find(key) for key in "abc"] == [ord("a"), None, 3]


def test_of_very_many_changed_files_all_decide_and_none_is_carried_along() -> None:
    desk = Desk()
    text = "pipeline: {stages: [{agent: lint, when: {paths: ['src/**']}}, test]}\n"
    desk.remote.files["a" * 40, "pipeline.yml"] = text
    for names, recorded in (((*("d",) * 3_000, "src/a"), None), (("docs/a",), ("docs/a",))):
        desk.remote.paths = names
        lint, _ = desk.plan().stages
        assert bool(lint.skip) == (names == ("docs/a",))
        assert desk.change is not None
        assert desk.change.paths == recorded


REQUEST = Change(
    kind=ChangeKind.PULL_REQUEST,
    repository="acme/shop",
    clone_url="/srv/shop.git",
    ref="refs/pull/7/head",
    sha="a" * 40,
    before="b" * 40,
    branch="tea",
    base_branch="main",
)


@pytest.mark.parametrize(
    ("paths", "recorded"),
    [(("a.py",), ("a.py",)), (None, None), (TransientError("away"), None), (("x",) * 3001, None)],
)
def test_the_files_of_a_pull_request_are_recorded_though_no_rule_asks_for_them(
    paths: tuple[str, ...] | TransientError | None, recorded: tuple[str, ...] | None
) -> None:
    desk = Desk(Remote(paths=paths))
    desk.plan(change=REQUEST)
    assert desk.change == REQUEST.with_(paths=recorded)


def test_nobody_is_asked_for_the_files_of_a_push_without_need() -> None:
    desk = Desk(Remote(paths=("a.py",)))
    desk.plan()
    assert desk.change is not None
    assert desk.change.paths is None
