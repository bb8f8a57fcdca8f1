"""What every store keeps, whatever it is made of. Subclass `StoreContract` and give it an empty store.

class TestMyStore(OutboxContract):    # StoreContract alone where the outbox is the log
    @pytest.fixture
    def store(self) -> Iterator[MyStore]: ...
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.contracts.store_attestations import AttestationContract
from tests.contracts.store_commits import CommitContract
from tests.contracts.store_due import DueContract
from tests.contracts.store_environments import EnvironmentContract
from tests.contracts.store_ledger import LedgerContract
from tests.contracts.store_lists import ListContract
from tests.contracts.store_runs import (
    Story,
    a_delivery,
    a_record,
    at,
    created,
)
from turnout.core.errors import Conflict
from turnout.core.ports import Commit, Store


class StoreContract(
    CommitContract, ListContract, DueContract, EnvironmentContract, LedgerContract, AttestationContract
):
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("the subclass gives the store")

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
