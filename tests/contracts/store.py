"""What every store keeps, whatever it is made of. Subclass `StoreContract` and give it an empty store.

class TestMyStore(OutboxContract):    # StoreContract alone where the outbox is the log
    @pytest.fixture
    def store(self) -> Iterator[MyStore]: ...
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Protocol

import pytest

from tests.contracts.store_runs import (
    Story,
    a_delivery,
    a_record,
    at,
    attempt_finished,
    attempt_of,
    created,
    launched,
    run_finished,
    run_id,
    started,
    trigger_record,
)
from turnout.core.errors import Conflict, Duplicate, PermanentError
from turnout.core.model import Outcome
from turnout.core.ports import AttemptRow, Commit, OutboxRow, ReportRow, RunRow, Store
from turnout.core.run import evolve, replay


class RecoveringStore(Store, Protocol):
    def unfinished_launches(self, before: datetime, limit: int = 500) -> Sequence[AttemptRow]: ...

    def unanswered(self, before: datetime, limit: int = 500) -> Sequence[OutboxRow]: ...


def names(rows: Sequence[RunRow], stories: Collection[Story]) -> list[str]:
    by_id = {story.id: story.name for story in stories}
    return [by_id[row.id] for row in rows]


class StoreContract:
    @pytest.fixture
    def store(self) -> RecoveringStore:
        raise NotImplementedError("the subclass gives the store")

    # --- a commit is all or nothing -------------------------------------------------------------

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

        run_together([lambda number=number: work(number) for number in range(6)])
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

        run_together([lambda name=name: work(name) for name in "abcdef"])
        assert sorted(answers) == ["duplicate"] * 5 + ["written"]
        assert len(store.runs()) == 1

    # --- lists of runs ----------------------------------------------------------------------------

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

    def test_runs_are_listed_by_project_branch_and_status(self, store: Store) -> None:
        stories = [
            Story(store, "a"),
            Story(store, "b", branch="fix"),
            Story(store, "c", project="acme/site"),
            Story(store, "d", branch="fix", project="acme/site"),
        ]
        for story in stories:
            story.begin()
        for story in stories[:2]:
            story.tell(run_finished())
        assert names(store.runs(project="acme/shop"), stories) == ["b", "a"]
        assert names(store.runs(branch="fix"), stories) == ["d", "b"]
        assert names(store.runs(branch="fix", project="acme/shop"), stories) == ["b"]
        assert names(store.runs(status="finished"), stories) == ["b", "a"]
        assert names(store.runs(status="running"), stories) == ["d", "c"]
        assert names(store.runs(status="running", branch="fix"), stories) == ["d"]
        assert names(store.runs(status="running", before=stories[3].id), stories) == ["c"]
        assert names(store.runs(status="finished", project="acme/shop", branch="main"), stories) == ["a"]
        assert store.runs(status="queued") == []
        assert store.runs(project="acme/none") == []

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

    # --- attempts, leases, what is due --------------------------------------------------------------

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

    def test_launches_that_nobody_has_taken_up_are_named_for_a_resend(self, store: RecoveringStore) -> None:
        waiting, taken = Story(store, "waiting"), Story(store, "taken")
        for story in (waiting, taken):
            story.begin()
            story.launch(seconds=1)
        taken.start(at(32))
        assert [row.run for row in store.unfinished_launches(at(2))] == [waiting.id]
        assert store.unfinished_launches(at(1)) == []

    # --- the ledger of deliveries -------------------------------------------------------------------

    def test_a_delivery_is_received_once(self, store: Store) -> None:
        first = a_delivery("d1")
        assert store.receive(first) == first
        assert store.receive(replace(first, received_at=at(9), event="ping")) == first
        assert store.receive(replace(first, source="gitlab")).source == "gitlab"
        assert len(store.deliveries()) == 2

    def test_deliveries_are_listed_newest_first_also_of_one_repository(self, store: Store) -> None:
        for number in range(3):
            store.receive(a_delivery(f"d{number}", repository=f"acme/r{number % 2}"))
        assert [each.id for each in store.deliveries(limit=2)] == ["d2", "d1"]
        assert [each.id for each in store.deliveries(repository="acme/r0")] == ["d2", "d0"]

    def test_what_became_of_a_delivery_is_written_over_what_was_known(self, store: Store) -> None:
        store.receive(a_delivery())
        store.update_delivery(a_delivery(status="published", seconds=5, message="m1", event="odd"))
        store.update_delivery(a_delivery(status="run", run="r1"))
        assert store.deliveries()[0] == a_delivery(status="run", run="r1", message="m1")

    def test_a_delivery_never_goes_back(self, store: Store) -> None:
        store.receive(a_delivery())
        store.update_delivery(a_delivery(status="run", run="r1"))
        for status in ("received", "published", "failed"):
            store.update_delivery(a_delivery(status=status))
        assert store.deliveries()[0].run == "r1"
        assert store.deliveries()[0].status == "run"

    def test_a_failed_delivery_can_be_published_after_all(self, store: Store) -> None:
        store.receive(a_delivery())
        store.update_delivery(a_delivery(status="failed", reason="the broker is away"))
        store.update_delivery(a_delivery(status="published"))
        assert store.deliveries()[0] == a_delivery(status="published")

    def test_a_delivery_that_was_never_received_is_entered_by_its_update(self, store: Store) -> None:
        store.update_delivery(a_delivery(status="ignored", reason="a ping"))
        assert list(store.deliveries()) == [a_delivery(status="ignored", reason="a ping")]

    def test_a_status_that_there_is_not_is_refused(self, store: Store) -> None:
        for refuse in (store.receive, store.update_delivery):
            with pytest.raises(PermanentError, match="lost"):
                refuse(a_delivery(status="lost"))

    def test_a_delivery_is_written_with_the_commit_that_answers_it(self, store: Store) -> None:
        store.receive(a_delivery())
        story = Story(store)
        story.tell(created("one"), delivery=a_delivery(status="run", run=story.id))
        assert store.deliveries()[0].run == story.id

    def test_triggers_that_the_orchestrator_never_answered_are_named_for_a_resend(
        self, store: RecoveringStore
    ) -> None:
        for number in range(3):
            known = a_delivery(f"d{number}", seconds=number)
            store.receive(known)
            store.commit(
                Commit(
                    None,
                    0,
                    (),
                    (trigger_record(f"m{number}"),),
                    at(number),
                    delivery=replace(known, status="published"),
                )
            )
        store.update_delivery(a_delivery("d0", status="run", run="r0"))
        assert [row.record for row in store.unanswered(at(2))] == [trigger_record("m1")]
        assert [row.record for row in store.unanswered(at(9))] == [trigger_record("m1"), trigger_record("m2")]

    # --- reports ------------------------------------------------------------------------------------

    def test_a_report_is_reserved_by_the_first_who_asks(self, store: Store) -> None:
        report = ReportRow("r1", "slack", "finished", "sending", "", 4, at(1))
        assert store.find_report("r1", "slack", "finished") is None
        assert store.reserve_report(report) is None
        assert store.reserve_report(replace(report, version=5)) == report
        assert store.reserve_report(replace(report, channel="email")) is None
        sent = replace(report, status="sent", reference="C1/1.2", at=at(2))
        store.record_report(sent)
        assert store.find_report("r1", "slack", "finished") == sent
        assert store.reserve_report(report) == sent

    def test_a_report_can_be_recorded_without_a_reservation(self, store: Store) -> None:
        sent = ReportRow("r1", "slack", "message", "sent", "C1/1.2", 4, at(1))
        store.record_report(sent)
        assert store.find_report("r1", "slack", "message") == sent

    def test_of_many_who_reserve_a_report_one_may_send(self, store: Store) -> None:
        report = ReportRow("r1", "slack", "finished", "sending", "", 4, at(1))
        answers: list[ReportRow | None] = []
        run_together([lambda: answers.append(store.reserve_report(report))] * 6)
        assert answers.count(None) == 1

    # --- housekeeping -------------------------------------------------------------------------------

    def test_inbox_ids_are_forgotten_after_fourteen_days(self, store: Store) -> None:
        Story(store, "old").begin(inbox="old")
        young = Story(store, "young")
        young.tell(created("young"), inbox="young", seconds=timedelta(days=1).total_seconds())
        assert store.prune(at(0) + timedelta(days=14, hours=12)) == 1
        assert not store.seen("old")
        assert store.seen("young")

    def test_pruning_leaves_runs_events_and_deliveries(self, store: Store) -> None:
        story = Story(store)
        story.begin(inbox="m1")
        store.receive(a_delivery())
        store.prune(at(0) + timedelta(days=4000))
        assert store.load(story.id) == story.state
        assert len(store.events(story.id)) == 1
        assert len(store.deliveries()) == 1
        assert store.prune(at(0) + timedelta(days=4000)) == 0


class OutboxContract(StoreContract):
    """And where a producer publishes what the outbox holds."""

    def test_records_wait_in_the_outbox_until_they_are_marked_published(self, store: Store) -> None:
        first, second = Story(store, "a"), Story(store, "b")
        sent = [a_record(key="k1", id="m1"), a_record(key="k2", id="m2")]
        rows = first.begin(records=sent)
        assert [row.record for row in rows] == sent
        assert {row.run for row in rows} == {first.id}
        assert rows[0].id < rows[1].id
        other = second.begin(records=[a_record(id="m3")])
        assert store.unpublished() == [*rows, *other]
        assert store.unpublished(first.id) == list(rows)
        assert store.unpublished(limit=1) == [rows[0]]
        store.mark_published([rows[0].id, other[0].id], at(1))
        assert store.unpublished() == [rows[1]]
        store.mark_published([], at(1))

    def test_only_records_older_than_asked_for_are_named(self, store: Store) -> None:
        story = Story(store)
        rows = story.begin(records=[a_record()])
        assert store.unpublished(older_than=at(0)) == []
        assert store.unpublished(older_than=at(0.000001)) == list(rows)

    def test_records_of_a_commit_that_is_refused_are_never_published(self, store: Store) -> None:
        Story(store).begin()
        with pytest.raises(Conflict):
            Story(store).begin(records=[a_record()])
        assert store.unpublished() == []

    def test_a_record_keeps_every_byte_of_key_headers_and_value(self, store: Store) -> None:
        odd = replace(
            a_record(),
            key="ключ\0\udcff",
            value=bytes(range(256)),
            headers=(("h", bytes(range(256))), ("h", b""), ("ключ", b"\0")),
        )
        rows = Story(store).begin(records=[odd])
        assert store.unpublished() == list(rows)
        assert store.unpublished()[0].record == odd

    def test_a_record_can_be_sent_without_a_run(self, store: Store) -> None:
        rows = store.commit(Commit(None, 3, (), (a_record(),), at(0)))
        assert [(row.run, row.record) for row in rows] == [("", a_record())]
        assert store.unpublished() == list(rows)

    def test_published_records_are_forgotten_after_their_topics_retention_and_others_never(
        self, store: Store
    ) -> None:
        story = Story(store)
        rows = story.begin(records=[a_record(id=f"m{number}") for number in range(3)])
        store.mark_published([rows[0].id], at(0))
        store.mark_published([rows[1].id], at(0) + timedelta(days=2))
        assert store.prune(at(0) + timedelta(days=6)) == 0
        assert store.prune(at(0) + timedelta(days=8)) == 1
        assert store.unpublished() == [rows[2]]
        assert store.prune(at(0) + timedelta(days=300)) == 1
        assert store.unpublished() == [rows[2]]

    def test_a_great_many_old_rows_are_forgotten_too(self, store: Store) -> None:
        story = Story(store)
        rows = story.begin(records=[a_record(id=f"m{number}") for number in range(1203)])
        store.mark_published([row.id for row in rows], at(0))
        assert store.unpublished() == []
        assert store.prune(at(0) + timedelta(days=8)) == 1203


def run_together(work: Sequence[object]) -> None:
    """Run all at once, each in a thread, and raise what any of them raised."""
    failed: list[BaseException] = []
    ready = threading.Barrier(len(work))

    def one(task: object) -> None:
        assert callable(task)
        ready.wait()
        try:
            task()
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=one, args=(task,)) for task in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for error in failed:
        raise error


__all__ = ["OutboxContract", "StoreContract", "run_id", "run_together"]
