"""Whoever keeps the books of a store counts the same rows, and names the same that are odd."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from tests.contracts.store_runs import (
    Story,
    a_delivery,
    at,
    attempt_finished,
    attempt_of,
    run_finished,
    run_id,
    started,
)
from tests.contracts.together import run_together
from turnout.core.model import Outcome
from turnout.core.ports import Commit, ReportRow, Store
from turnout.core.ports.ledger import (
    Books,
    Head,
    LastAccount,
    Listed,
    Mark,
    Missed,
    MissedDeliveries,
    OpenAttempt,
    OpenRun,
    Untold,
)

MANY = 100


@dataclass(frozen=True)
class Kept:
    store: Store
    books: Books
    missed: MissedDeliveries


def a_try(guid: str = "g1", number: int = 1, seconds: float = 0, code: int = 502) -> Listed:
    return Listed(guid, "app", number, at(seconds), "push", code == 200, code, "failed to connect to host")


def a_miss(guid: str = "g1", number: int = 1, seconds: float = 0) -> Missed:
    return Missed(a_try(guid, number, seconds), first=at(seconds), due=at(seconds))


def a_report(run: str, fact: str, status: str, seconds: float = 0, channel: str = "slack") -> ReportRow:
    return ReportRow(run, channel, fact, status, "", 1, at(seconds))


class BooksContract:
    @pytest.fixture
    def kept(self) -> Kept:
        raise NotImplementedError("the subclass gives the books of an empty store")

    # --- our rows -------------------------------------------------------------------------------------

    def test_deliveries_are_counted_from_a_time_on(self, kept: Kept) -> None:
        for id, status, seconds in (("old", "ignored", 0), ("a", "ignored", 10), ("b", "published", 11)):
            kept.store.receive(a_delivery(id, "received", seconds))
            kept.store.update_delivery(a_delivery(id, status, seconds, reason="a tag"))
        kept.store.receive(a_delivery("c", "received", 12))
        assert kept.books.deliveries(at(10)) == {"ignored": 1, "published": 1, "received": 1}
        assert [each.id for each in kept.books.unanswered(at(10), MANY)] == ["b", "c"]
        assert [each.id for each in kept.books.unanswered(at(10), 1)] == ["b"]

    def test_a_delivery_whose_run_is_not_there_is_named_unless_its_message_was_answered_with_nothing(
        self, kept: Kept
    ) -> None:
        story = Story(kept.store)
        story.begin()
        for id, run, message in (("a", story.id, "m1"), ("b", run_id("gone"), "m2"), ("c", "none", "m3")):
            kept.store.update_delivery(a_delivery(id, "run", 10, run=run, message=message))
        kept.store.commit(Commit(None, 0, (), (), at(11), inbox="m3"))
        kept.store.update_delivery(a_delivery("d", "ignored", 12))
        kept.store.update_delivery(a_delivery("e", "ignored", 13, reason="a tag"))
        assert [each.id for each in kept.books.runless(at(10), MANY)] == ["b", "d"]

    def test_messages_are_counted_by_whether_a_run_came_of_them(self, kept: Kept) -> None:
        Story(kept.store).begin(inbox="m1")
        kept.store.commit(Commit(None, 0, (), (), at(5), inbox="m2"))
        assert kept.books.messages(at(0)) == {"run": 1, "nothing": 1}
        assert kept.books.messages(at(1)) == {"nothing": 1}
        assert kept.books.orphans(at(0), MANY) == []

    def test_runs_and_attempts_are_counted_and_the_open_ones_named(self, kept: Kept) -> None:
        ended, running = Story(kept.store, "one"), Story(kept.store, "two")
        for story in (ended, running):
            story.begin(due_at=at(60))
            story.launch()
        ended.tell(attempt_finished("one"), run_finished(Outcome.FAILURE, 9), seconds=9)
        assert kept.books.runs(at(0)) == {"failure": 1, "open": 1}
        assert kept.books.runs(at(1)) == {}
        assert kept.books.attempts(at(0)) == {"finished": 1, "launched": 1}
        (run,) = kept.books.open_runs(MANY)
        assert replace(run, due_at=None, changed_at=at(0)) == OpenRun(
            running.id, "acme/shop", running.state.status.value, None, 1, at(0)
        )
        running.tell(started("two", 4), leases={attempt_of("two"): at(34)}, seconds=4)
        (run,) = kept.books.open_runs(MANY)
        assert (run.changed_at, run.due_at) == (at(4), None)
        assert kept.books.attempts(at(0)) == {"finished": 1, "started": 1}
        (attempt,) = kept.books.open_attempts(MANY)
        assert attempt == OpenAttempt(
            attempt_of("two"), running.id, "acme/shop", "unit", at(1), at(34), run_ended=False
        )
        assert kept.books.open_runs(0) == []

    def test_an_attempt_that_outlives_its_run_is_named_so(self, kept: Kept) -> None:
        story = Story(kept.store)
        story.begin()
        story.launch()
        story.tell(run_finished(), seconds=9)
        assert [each.run_ended for each in kept.books.open_attempts(MANY)] == [True]

    def test_reports_are_counted_by_fact_whatever_it_took_to_tell_them(self, kept: Kept) -> None:
        story = Story(kept.store)
        story.begin()
        for fact, status in (("started", "sent"), ("finished", "sending"), ("finished~2", "failed")):
            kept.store.record_report(a_report(story.id, fact, status, 3))
        assert kept.books.reports(at(0)) == {"sent": 1, "sending": 1}
        assert kept.books.reports(at(1)) == {}
        assert kept.books.open_reports(at(0), MANY) == [a_report(story.id, "finished", "sending", 3)]

    def test_an_ended_run_of_whose_end_a_channel_knows_nothing_is_named(self, kept: Kept) -> None:
        story = Story(kept.store)
        story.begin()
        story.tell(run_finished(), seconds=9)
        kept.store.record_report(a_report(story.id, "finished", "skipped", 10, "email"))
        asked = ("slack", "email")
        assert kept.books.untold(at(0), at(10), asked, MANY) == [
            Untold(story.id, "acme/shop", "slack", at(9))
        ]
        assert kept.books.untold(at(0), at(9), asked, MANY) == []
        assert kept.books.untold(at(1), at(10), asked, MANY) == []

    def test_the_newest_account_is_the_last_one(self, kept: Kept) -> None:
        assert kept.books.last() is None
        kept.books.keep(LastAccount(at(60), 2, 1))
        kept.books.keep(LastAccount(at(0), 7, 7))
        assert kept.books.last() == LastAccount(at(60), 2, 1)

    # --- what GitHub could not deliver --------------------------------------------------------------

    def test_a_delivery_is_known_once_it_got_further_than_the_door(self, kept: Kept) -> None:
        kept.store.receive(a_delivery("a", "received"))
        kept.store.receive(a_delivery("b", "received"))
        kept.store.update_delivery(a_delivery("b", "ignored", reason="a tag"))
        assert set(kept.missed.known({"a", "b", "c"})) == {"b"}
        assert set(kept.missed.known(())) == set()

    def test_a_commit_is_unseen_where_none_of_its_repositorys_deliveries_is_about_it(
        self, kept: Kept
    ) -> None:
        kept.store.receive(replace(a_delivery("a", seconds=10), sha="a" * 40))
        seen, early = Head("acme/shop", "a" * 40, at(20)), Head("acme/shop", "b" * 40, at(10))
        unseen, others = Head("acme/shop", "c" * 40, at(20)), Head("acme/else", "d" * 40, at(20))
        assert kept.missed.unseen([seen, early, unseen, others]) == [unseen]

    def test_of_one_that_is_missed_the_newest_try_is_kept(self, kept: Kept) -> None:
        kept.missed.miss([a_miss("g1", 5, 50), a_miss("g2", 1, 10)])
        assert kept.missed.claim(a_miss("g1", 5, 50), at(60), at(90))
        kept.missed.miss([a_miss("g1", 7, 70), a_miss("g1", 6, 60)])
        found = kept.missed.missed(MANY)
        assert [each.listed.guid for each in found] == ["g2", "g1"]
        assert found[1] == Missed(a_try("g1", 7, 70), at(50), at(90), tries=1, asked_at=at(60))

    def test_of_many_at_once_one_asks_and_nobody_before_it_is_due_again(self, kept: Kept) -> None:
        kept.missed.miss([a_miss()])
        (missed,) = kept.missed.missed(MANY)
        got: list[bool] = []
        run_together([lambda: got.append(kept.missed.claim(missed, at(1), at(60)))] * 4)
        assert sorted(got) == [False] * 3 + [True]
        (asked,) = kept.missed.missed(MANY)
        assert not kept.missed.claim(asked, at(59), at(99))
        assert kept.missed.claim(asked, at(60), at(99))

    def test_a_claim_that_came_to_nothing_does_not_count(self, kept: Kept) -> None:
        kept.missed.miss([a_miss()])
        (before,) = kept.missed.missed(MANY)
        kept.missed.claim(before, at(1), at(60))
        kept.missed.unclaim(before, at(30))
        assert kept.missed.missed(MANY) == [replace(before, due=at(30))]
        kept.missed.refuse(before, "it is too old")
        assert kept.missed.missed(MANY)[0].refused == "it is too old"

    def test_what_has_come_and_what_is_too_old_is_forgotten(self, kept: Kept) -> None:
        kept.missed.miss([a_miss("g1", 1, 0), a_miss("g2", 2, 10), a_miss("g3", 3, 20)])
        kept.missed.settle(["g2", "else"])
        assert kept.missed.forget(at(10)) == 1
        assert [each.listed.guid for each in kept.missed.missed(MANY)] == ["g3"]

    def test_a_hook_is_looked_at_by_one_at_a_time_from_where_the_last_one_ended(self, kept: Kept) -> None:
        first = kept.missed.turn("app", at(0), at(60), at(-3600))
        assert first == Mark("app", at(-3600), at(0), at(60))
        assert kept.missed.turn("app", at(59), at(119), at(-3600)) is None
        ended = replace(first, upto=at(5), said="no answer", cursor="12", aim=at(7))
        kept.missed.mark(ended)
        assert kept.missed.turn("app", at(60), at(120), at(0)) == replace(
            ended, looked_at=at(60), due=at(120)
        )
        assert [each.hook for each in kept.missed.marks()] == ["app"]
        got: list[Mark | None] = []
        later = at(0) + timedelta(days=1)
        run_together(
            [lambda: got.append(kept.missed.turn("app", later, later + timedelta(hours=1), at(0)))] * 4
        )
        assert sum(each is not None for each in got) == 1
