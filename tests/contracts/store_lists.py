"""What every store lists and finds. A part of `tests.contracts.store`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tests.contracts.store_runs import (
    Story,
    at,
    run_finished,
)
from tests.contracts.together import run_together
from turnout.core.model import Outcome
from turnout.core.ports import RunFilter, RunRow, Store


def names(rows: Sequence[RunRow], stories: Collection[Story]) -> list[str]:
    by_id = {story.id: story.name for story in stories}
    return [by_id[row.id] for row in rows]


class ListContract:
    def test_a_row_says_what_lists_show(self, store: Store) -> None:
        story = Story(store, group="main", title="Mend\0the gate")
        story.begin()
        assert store.runs() == [
            RunRow(
                id=story.id,
                project="acme/shop",
                repository="acme/shop",
                branch="main",
                sha="5" * 40,
                title="Mend\ufffdthe gate",
                author="ada",
                kind="push",
                status="running",
                outcome="",
                created_at=at(0),
                finished_at=None,
                group="main",
                version=1,
                number=1,
            )
        ]
        story.tell(run_finished(Outcome.FAILURE, 9))
        row = store.runs()[0]
        assert (row.status, row.outcome, row.finished_at) == ("finished", "failure", at(9))
        assert (row.version, row.number) == (2, 1)

    def test_runs_are_numbered_within_their_project(self, store: Store) -> None:
        for name, project in (("a", "acme/shop"), ("b", "acme/site"), ("c", "acme/shop")):
            Story(store, name, project=project).begin()
        assert [(row.project, row.number) for row in store.runs()] == [
            ("acme/shop", 2),
            ("acme/site", 1),
            ("acme/shop", 1),
        ]

    def test_runs_made_at_once_get_numbers_of_their_own(self, store: Store) -> None:
        run_together([Story(store, name).begin for name in "abcdef"])
        assert sorted(row.number for row in store.runs()) == [1, 2, 3, 4, 5, 6]

    def test_runs_are_listed_newest_first_and_page_by_page(self, store: Store) -> None:
        stories = [Story(store, name) for name in "abcde"]
        for story in stories:
            story.begin()
        assert names(store.runs(limit=2), stories) == ["e", "d"]
        assert names(store.runs(limit=2, before=stories[3].id), stories) == ["c", "b"]
        assert names(store.runs(before=stories[1].id), stories) == ["a"]
        assert store.runs(before=stories[0].id) == []

    def test_runs_are_listed_by_project_branch_status_outcome_and_person(self, store: Store) -> None:
        stories = [
            Story(store, "a"),
            Story(store, "b", branch="fix", author="grace"),
            Story(store, "c", project="acme/site"),
            Story(store, "d", branch="fix", project="acme/site", author="grace"),
        ]
        for story in stories:
            story.begin()
        stories[0].tell(run_finished())
        stories[1].tell(run_finished(Outcome.FAILURE))
        for wanted, expected in (
            (RunFilter(), ["d", "c", "b", "a"]),
            (RunFilter(project="acme/shop"), ["b", "a"]),
            (RunFilter(branch="fix"), ["d", "b"]),
            (RunFilter(branch="fix", project="acme/shop"), ["b"]),
            (RunFilter(status="finished"), ["b", "a"]),
            (RunFilter(status="running"), ["d", "c"]),
            (RunFilter(status="running", branch="fix"), ["d"]),
            (RunFilter(status="running", person="ada"), ["c"]),
            (RunFilter(status="finished", project="acme/shop", branch="main"), ["a"]),
            (RunFilter(outcome="failure"), ["b"]),
            (RunFilter(outcome="failure", project="acme/shop", status="finished"), ["b"]),
            (RunFilter(person="grace"), ["d", "b"]),
            (RunFilter(person="grace", project="acme/site"), ["d"]),
            (RunFilter(person="ada", outcome="success"), ["a"]),
            (RunFilter(status="queued"), []),
            (RunFilter(status="running", outcome="success"), []),
            (RunFilter(project="acme/none"), []),
            (RunFilter(person="ad\0a"), []),
        ):
            assert names(store.runs(wanted), stories) == expected, wanted
        assert names(store.runs(RunFilter(status="running"), before=stories[3].id), stories) == ["c"]
        assert names(store.runs(RunFilter(person="grace"), limit=1), stories) == ["d"]

    def test_runs_made_meanwhile_move_no_page(self, store: Store) -> None:
        stories = [Story(store, name) for name in "abcdef"]
        for story in stories[:4]:
            story.begin()
        page = store.runs(RunFilter(project="acme/shop"), limit=2)
        for story in stories[4:]:
            story.begin()
        rest = store.runs(RunFilter(project="acme/shop"), limit=9, before=page[-1].id)
        assert names([*page, *rest], stories) == ["d", "c", "b", "a"]

    def test_a_run_is_found_by_its_id_its_number_or_as_the_latest(self, store: Store) -> None:
        assert store.find_runs("latest") == []
        stories = [Story(store, "a"), Story(store, "b"), Story(store, "c", project="acme/site")]
        for story in stories:
            story.begin()
        assert names(store.find_runs("latest"), stories) == ["c"]
        assert names(store.find_runs(stories[0].id), stories) == ["a"]
        assert names(store.find_runs(stories[1].id[:10].upper()), stories) == ["b"]
        assert names(store.find_runs("1"), stories) == ["c", "a"]
        assert names(store.find_runs("#2"), stories) == ["b"]
        assert names(store.find_runs("acme/shop#1"), stories) == ["a"]
        for nothing in ("", "%", "'; --", "acme/none#1", "zzzz", "99"):
            assert store.find_runs(nothing) == []

    def test_at_most_ten_runs_are_found(self, store: Store) -> None:
        for number in range(12):
            Story(store, str(number), project=f"acme/p{number}").begin()
        assert len(store.find_runs("1")) == 10

    def test_a_group_lists_its_open_runs_oldest_first(self, store: Store) -> None:
        stories = [Story(store, name, group="main") for name in "abc"]
        others = [Story(store, "x", group="other"), Story(store, "y", project="acme/site", group="main")]
        for story in [*stories, *others]:
            story.begin()
        stories[1].tell(run_finished())
        assert names(store.group_runs("acme/shop", "main"), stories) == ["a", "c"]
        assert store.group_runs("acme/shop", "none") == []

    def test_the_previous_outcome_is_of_the_newest_finished_run_before_on_the_branch(
        self, store: Store
    ) -> None:
        stories = {
            name: Story(store, name, **more)
            for name, more in {
                "a": {},
                "b": {},
                "elsewhere": {"branch": "fix"},
                "other": {"project": "acme/site"},
                "open": {},
                "now": {},
                "later": {},
            }.items()
        }
        for story in stories.values():
            story.begin()
        stories["a"].tell(run_finished(Outcome.SUCCESS))
        stories["b"].tell(run_finished(Outcome.FAILURE))
        for name in ("elsewhere", "other", "later"):
            stories[name].tell(run_finished(Outcome.CANCELLED))
        before = stories["now"].id
        assert store.previous_outcome("acme/shop", "main", before) == "failure"
        assert store.previous_outcome("acme/shop", "main", stories["b"].id) == "success"
        assert store.previous_outcome("acme/shop", "main", stories["a"].id) == ""
        assert store.previous_outcome("acme/shop", "none", before) == ""
        assert store.previous_outcome("acme/shop", "main", "not-made-yet") == "cancelled"
