from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest

from tests.core.writing import push as pushed
from tests.core.writing import tag
from turnout.adapters.config_files import read_pipeline, read_project
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.errors import InvalidConfig, PermanentError, TransientError
from turnout.core.ports.recorded import RecordedChange
from turnout.core.simulation import Simulation
from turnout.simulating import MOST_ASKED, SECONDS, Simulating

AT = datetime(2026, 3, 1, tzinfo=UTC)
OLD = """
pipeline:
  stages:
    - lint
    - {name: unit, agent: test, when: {paths: ["src/**"]}}
"""
NEW = """
pipeline:
  on: {push: {branches: [main]}}
  stages:
    - lint
    - {name: unit, agent: test, when: {paths: ["src/**"]}, secrets: [TOKEN]}
    - {name: ship, agent: deploy, environment: live, when: {branch: [main]}}
"""
BY = read_project(
    "project: {repository: org/shop, secrets: {TOKEN: {env: T}}, environments: {live: {}}}", "project.yml"
)


def push(branch: str = "main", **more: Any) -> Change:
    """On top of another commit, so that it can be known what it touches."""
    return pushed(branch, before="b" * 40, **more)


@dataclass
class Projects:
    def find(self, repository: str) -> ProjectConfig | None:
        return BY if repository == BY.repository else None


@dataclass
class Recorded:
    changes: list[Change]

    def newest(self, project: str, limit: int) -> list[RecordedChange]:
        assert project == "org/shop"
        found = [RecordedChange(AT, each, f"r{index}") for index, each in enumerate(self.changes)]
        return found[:limit]


@dataclass
class Clock:
    step: float = 0.0
    _ticks: count[int] = field(default_factory=count)

    def now(self) -> datetime:
        return AT + timedelta(seconds=self.step * next(self._ticks))


@dataclass
class Source:
    """Says which files have changed, or fails."""

    answer: Callable[[Change], tuple[str, ...] | None]
    asked: list[str] = field(default_factory=list)

    def changed_paths(self, change: Change) -> tuple[str, ...] | None:
        self.asked.append(change.title)
        return self.answer(change)

    def read(self, change: Change, path: str) -> str | None:
        raise AssertionError(f"{path} of {change.sha} is not read")

    def head(self, change: Change) -> str:
        raise AssertionError(change)


def simulate(
    *changes: Change,
    old: str | None = OLD,
    new: str = NEW,
    source: Source | None = None,
    step: float = 0.0,
    last: int = 50,
) -> Simulation:
    found = Simulating(Recorded(list(changes)), Projects(), read_pipeline, Clock(step), source)
    return found("org/shop", old, new, last=last)


def test_each_change_is_planned_with_both_files_and_compared() -> None:
    found = simulate(push("main", paths=("src/a.py",)), push("dev", paths=("README",)))
    main, dev = found.changes
    assert main.difference.text().splitlines() == [
        "! `unit` gets secret `TOKEN`",
        "! `ship` gets environment `live`",
        "  `ship` would run",
    ]
    assert (main.old.stages, main.new.stages) == (("lint", "unit"), ("lint", "unit", "ship"))
    assert (main.new.secrets, main.new.environments) == (("TOKEN",), ("live",))
    assert (dev.old.runs, dev.new.runs) == (True, False)
    assert dev.difference.text().startswith("  it would not run any more: `'on.push.branches' lists main;")
    assert found.differs
    assert (
        found.summary() == "2 of 2 recorded changes of org/shop would go otherwise, 1 with weaker security."
    )


def test_the_sum_counts_in_how_many_changes_the_same_is_different() -> None:
    found = simulate(*[push("main", paths=("src/a.py",))] * 3, push("x", paths=()), push("y", paths=()))
    assert [(each.difference.sentence, each.changes) for each in found.totals] == [
        ("`ship` gets environment `live`", 3),
        ("`unit` gets secret `TOKEN`", 3),
        ("`ship` would run", 3),
        ("it would not run any more", 2),
    ]
    assert found.markdown().splitlines()[2:4] == [
        "- ⚠️ weakens security: `ship` gets environment `live` (3 changes)",
        "- ⚠️ weakens security: `unit` gets secret `TOKEN` (3 changes)",
    ]


def test_the_same_file_makes_no_difference() -> None:
    found = simulate(push(), tag(), new=OLD)
    assert not found.differs
    assert found.summary() == "Nothing would be different for 2 recorded changes of org/shop."
    assert simulate(new=OLD).summary() == "Nothing is recorded of org/shop yet."


def test_a_new_file_that_is_not_valid_says_where() -> None:
    with pytest.raises(InvalidConfig, match=r"pipeline\.yml:1:"):
        simulate(push(), new="pipeline: {stages: [lint], on: {cake: {}}}")


def test_an_old_file_that_was_not_valid_or_not_there_ran_nothing() -> None:
    broken = simulate(push(), old="pipeline: {stages: []}")
    assert broken.changes[0].difference.text().splitlines()[-1].startswith("  it would run; so far not: ")
    assert "with it: `pipeline.yml:1:" in next(iter(broken.notes()))
    none = simulate(push(), old=None)
    assert none.changes[0].old.reason == "there is no pipeline file"
    assert list(none.notes()) == [
        "Of 1 change it is not known which files changed; rules on files hold for those."
    ]


def test_files_that_are_not_recorded_are_asked_for_where_a_rule_asks_for_them() -> None:
    source = Source(lambda _: ("README",))
    found = simulate(push("main", title="a"), push("main", title="b", paths=("src/a",)), source=source)
    assert source.asked == ["a"]
    assert [each.new.stages for each in found.changes] == [("lint", "ship"), ("lint", "unit", "ship")]
    assert found.unknown == 0
    simulate(push("main"), old="pipeline: {stages: [lint]}", new="pipeline: {stages: [test]}", source=source)
    assert source.asked == ["a"]


@pytest.mark.parametrize("error", [TransientError("away"), PermanentError("gone"), None])
def test_what_nobody_knows_any_more_is_said_to_be_unknown(error: Exception | None) -> None:
    def answer(_: Change) -> None:
        if error is not None:
            raise error

    found = simulate(push("main"), source=Source(answer))
    assert (found.unknown, found.changes[0].known) == (1, False)
    assert "unit" in found.changes[0].new.stages, "a rule on files holds where they are not known"


def test_the_repository_is_asked_about_a_bounded_number_of_changes() -> None:
    source = Source(lambda _: ())
    found = simulate(*[push("main")] * (MOST_ASKED + 5), source=source)
    assert len(source.asked) == MOST_ASKED
    assert found.unknown == 5


def test_it_stops_when_time_is_up_and_says_so() -> None:
    found = simulate(*[push("main", paths=())] * 9, step=SECONDS / 4)
    assert (len(found.changes), found.left) == (4, 5)
    assert list(found.notes()) == ["Time was up before 5 older changes had been looked at."]


def test_only_so_many_changes_can_be_asked_for() -> None:
    assert len(simulate(push(), push(), last=1).changes) == 1
    for last in (0, 501):
        with pytest.raises(PermanentError, match="1 to 500"):
            simulate(last=last)


def test_it_is_json() -> None:
    found = simulate(push("main", paths=("src/a.py",)))
    assert Simulation.model_validate(found.to_json()) == found


def test_what_touches_no_files_is_no_change_of_unknown_files() -> None:
    source = Source(lambda _: ())
    found = simulate(tag(), pushed("main"), source=source)
    assert (found.unknown, source.asked) == (0, [])
