"""What every store keeps of deliveries and reports. A part of `tests.contracts.store`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.store_runs import (
    Story,
    a_delivery,
    at,
    created,
    trigger_record,
)
from tests.contracts.together import run_together
from turnout.core.errors import PermanentError
from turnout.core.ports import Commit, ReportRow, Store


class LedgerContract:
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

    def test_triggers_that_the_orchestrator_never_answered_are_named_for_a_resend(self, store: Store) -> None:
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

    @pytest.mark.parametrize(
        ("before", "kept"),
        [("sending", False), ("failed", False), ("sent", True), ("skipped", True)],
    )
    def test_settling_leaves_alone_what_was_told_at_that_version(
        self, store: Store, before: str, kept: bool
    ) -> None:
        known = ReportRow("r1", "slack", "started", before, "old", 4, at(1))
        store.record_report(known)
        others = [
            replace(known, fact=fact, status="sent", reference="new") for fact in ("started", "finished")
        ]
        store.settle_reports(others)
        assert store.find_report("r1", "slack", "started") == (known if kept else others[0])
        assert store.find_report("r1", "slack", "finished") == others[1]
        newer = replace(others[0], version=5)
        store.settle_reports([newer])
        assert store.find_report("r1", "slack", "started") == newer
        store.settle_reports([])

    def test_of_many_who_reserve_a_report_one_may_send(self, store: Store) -> None:
        report = ReportRow("r1", "slack", "finished", "sending", "", 4, at(1))
        answers: list[ReportRow | None] = []
        run_together([lambda: answers.append(store.reserve_report(report))] * 6)
        assert answers.count(None) == 1
