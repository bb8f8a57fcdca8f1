"""What every store knows of attempts, leases and what is due. A part of `tests.contracts.store`."""

from __future__ import annotations

from dataclasses import replace

from tests.contracts.store_runs import (
    Story,
    at,
    attempt_finished,
    attempt_of,
    run_finished,
    started,
)
from turnout.core.ports import AttemptRow, Commit, Store


class DueContract:
    def test_an_attempt_is_listed_from_its_launch_until_it_has_finished(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        assert store.attempts(story.id) == []
        story.launch()
        waiting = AttemptRow(
            id=attempt_of("one"),
            run=story.id,
            task="unit",
            agent="test",
            number=1,
            status="launched",
            lease_until=at(901),
        )
        assert store.attempts(story.id) == [waiting]
        story.start(at(32))
        assert store.attempts(story.id) == [replace(waiting, status="started", lease_until=at(32))]
        story.tell(attempt_finished("one"))
        assert store.attempts(story.id) == []

    def test_the_run_of_an_attempt_is_known_also_after_its_end(self, store: Store) -> None:
        story = Story(store)
        assert store.run_of(attempt_of("one")) == ""
        story.begin()
        story.launch()
        assert store.run_of(attempt_of("one")) == story.id
        story.start(at(32))
        story.tell(attempt_finished("one"))
        assert store.run_of(attempt_of("one")) == story.id
        assert store.run_of("nobody") == ""

    def test_a_heartbeat_extends_the_lease_of_a_running_attempt_and_never_shortens_it(
        self, store: Store
    ) -> None:
        story, attempt = Story(store), attempt_of("one")
        story.begin()
        story.launch()
        store.heartbeat(attempt, at(2), at(40))
        assert store.last_heard([attempt]) == {}
        story.start(at(32))
        store.heartbeat(attempt, at(20), at(50))
        store.heartbeat(attempt, at(15), at(45))
        assert store.last_heard([attempt, "no-such-attempt"]) == {attempt: at(50)}
        story.tell(attempt_finished("one"))
        store.heartbeat(attempt, at(60), at(90))
        assert store.last_heard([attempt]) == {}
        assert store.last_heard([]) == {}

    def test_a_lease_can_be_given_without_an_event(self, store: Store) -> None:
        story, attempt = Story(store), attempt_of("one")
        story.begin()
        story.launch()
        story.start(at(32))
        store.commit(Commit(None, 0, (), (), at(9), leases={attempt: at(70), "unknown": at(70)}))
        assert store.last_heard([attempt, "unknown"]) == {attempt: at(70)}

    def test_a_run_is_due_at_its_time_and_when_a_lease_has_ended(self, store: Store) -> None:
        waits, runs, idle = Story(store, "waits"), Story(store, "runs"), Story(store, "idle")
        assert store.next_due() is None
        waits.begin(due_at=at(60))
        runs.begin()
        runs.launch()
        runs.start(at(32))
        idle.begin()
        assert store.next_due() == at(32)
        assert store.due(at(31)) == []
        assert store.due(at(32)) == [runs.id]
        assert store.due(at(60)) == [runs.id, waits.id]
        assert store.due(at(60), limit=1) == [runs.id]
        runs.tell(attempt_finished("runs"))
        assert store.next_due() == at(60)
        waits.tell(run_finished())
        assert store.next_due() is None
        assert store.due(at(10_000)) == []

    def test_a_run_that_is_due_twice_over_is_named_once(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        story.launch()
        story.tell(started("one"), due_at=at(20), leases={attempt_of("one"): at(32)})
        assert store.due(at(40)) == [story.id]

    def test_launches_that_nobody_has_taken_up_are_named_for_a_resend(self, store: Store) -> None:
        waiting, taken = Story(store, "waiting"), Story(store, "taken")
        for story in (waiting, taken):
            story.begin()
            story.launch(seconds=1)
        taken.start(at(32))
        assert [row.run for row in store.unfinished_launches(at(2))] == [waiting.id]
        assert store.unfinished_launches(at(1)) == []

    def test_attempts_that_have_not_finished_are_listed_page_by_page(self, store: Store) -> None:
        stories = [Story(store, name) for name in ("one", "two", "three")]
        for story in stories:
            story.begin()
            story.launch()
        stories[0].start(at(32))
        expected = sorted((story.id, attempt_of(story.name)) for story in stories)
        all_of_them = store.open_attempts()
        assert [(row.run, row.id) for row in all_of_them] == expected
        assert {row.run: row.status for row in all_of_them}[stories[0].id] == "started"
        assert store.open_attempts(limit=2) == list(all_of_them)[:2]
        assert store.open_attempts(after=expected[1]) == list(all_of_them)[2:]
        stories[0].tell(attempt_finished("one"))
        assert stories[0].id not in [row.run for row in store.open_attempts()]
