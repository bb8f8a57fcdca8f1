"""What every store keeps of a commit: all of it or nothing. A part of `tests.contracts.store`."""

from __future__ import annotations

from functools import partial

import pytest

from tests.contracts.store_runs import (
    Story,
    a_delivery,
    a_record,
    at,
    created,
    launched,
    run_finished,
)
from tests.contracts.together import run_together
from turnout.core.errors import Conflict, Duplicate, PermanentError
from turnout.core.evolve import evolve, replay
from turnout.core.ports import Commit, Store


class CommitContract:
    def test_a_run_comes_back_as_it_was_committed(self, store: Store) -> None:
        story = Story(store, title="naïve — \0 – 旋")
        story.begin()
        story.launch()
        assert store.load(story.id) == story.state

    def test_a_run_that_was_never_committed_is_not_there(self, store: Store) -> None:
        assert store.load("no-such-run") is None
        assert store.events("no-such-run") == []

    def test_the_events_come_back_in_order_and_make_the_same_run(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        story.launch()
        story.start(at(30))
        kept = store.events(story.id)
        assert [each.version for each in kept] == [1, 2, 3, 4]
        assert replay(each.event for each in kept) == story.state
        assert store.events(story.id, after=2) == kept[2:]

    def test_an_event_keeps_when_it_was_recorded_to_the_microsecond(self, store: Store) -> None:
        story = Story(store)
        story.tell(created("one"), seconds=0.000001)
        assert store.events(story.id)[0].at == at(0.000001)

    def test_a_run_that_moved_on_meanwhile_is_a_conflict_and_nothing_is_written(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        late = evolve(story.state, launched("one")[0])
        story.launch()
        before = store.events(story.id)
        change = Commit(late, 1, (launched("one")[0],), (a_record(),), at(5), inbox="late")
        with pytest.raises(Conflict):
            store.commit(change)
        assert store.events(story.id) == before
        assert store.load(story.id) == story.state
        assert not store.seen("late")
        assert store.unpublished(story.id, limit=10) == story.store.unpublished(story.id)

    def test_a_run_that_another_process_has_made_is_a_conflict(self, store: Store) -> None:
        Story(store).begin()
        with pytest.raises(Conflict):
            Story(store).begin()
        assert [row.number for row in store.runs()] == [1]

    def test_a_message_is_handled_once(self, store: Store) -> None:
        story = Story(store)
        story.begin(inbox="m1")
        assert store.seen("m1")
        assert not store.seen("m2")
        with pytest.raises(Duplicate):
            story.tell(*launched("one"), inbox="m1")
        assert len(store.events(story.id)) == 1

    def test_a_duplicate_is_told_before_a_conflict(self, store: Store) -> None:
        Story(store).begin(inbox="m1")
        with pytest.raises(Duplicate):
            Story(store).begin(inbox="m1")

    def test_a_message_that_makes_no_run_is_remembered_too(self, store: Store) -> None:
        ignored = a_delivery(status="ignored", reason="[skip ci]")
        store.commit(Commit(None, 0, (), (), at(0), inbox="m1", delivery=ignored))
        with pytest.raises(Duplicate):
            store.commit(Commit(None, 0, (), (), at(1), inbox="m1", delivery=a_delivery(status="failed")))
        assert list(store.deliveries()) == [ignored]

    def test_a_commit_that_contradicts_itself_is_refused(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        with pytest.raises(PermanentError, match="version"):
            store.commit(Commit(story.state, 1, (run_finished(),), (), at(1)))
        with pytest.raises(PermanentError, match="without the run"):
            store.commit(Commit(None, 0, (run_finished(),), (), at(1)))

    def test_of_many_who_decide_on_the_same_version_one_wins(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        after = evolve(story.state, launched("one")[0])
        answers: list[str] = []

        def work(number: int) -> None:
            try:
                store.commit(Commit(after, 1, (launched("one")[0],), (), at(1), inbox=f"m{number}"))
                answers.append("written")
            except Conflict:
                answers.append("conflict")

        run_together([partial(work, number) for number in range(6)])
        assert sorted(answers) == ["conflict"] * 5 + ["written"]
        assert len(store.events(story.id)) == 2

    def test_of_many_who_handle_the_same_message_one_wins(self, store: Store) -> None:
        answers: list[str] = []

        def work(name: str) -> None:
            try:
                Story(store, name).begin(inbox="m1")
                answers.append("written")
            except Duplicate:
                answers.append("duplicate")

        run_together([partial(work, name) for name in "abcdef"])
        assert sorted(answers) == ["duplicate"] * 5 + ["written"]
        assert len(store.runs()) == 1
