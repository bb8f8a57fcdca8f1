"""Whoever keeps deliveries finds one by its id, those of a commit, and what was decided by which rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from turnout.core.nothing import Nothing
from turnout.core.ports import Delivery, Store
from turnout.core.ports.deliveries import Deliveries

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
WHY = Nothing(reason="`on` lists push", rule="on", values={"on": ["push"], "event": "tag"}, flips=("a", "b"))
ONE = Delivery("d1", "github", "push", "acme/shop", "received", AT, message="m1", sha="ab" * 20)


class DeliveriesContract:
    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("the subclass gives the store that they are in")

    @pytest.fixture
    def found(self) -> Deliveries:
        raise NotImplementedError("the subclass gives them")

    def test_a_delivery_is_found_by_its_id(self, store: Store, found: Deliveries) -> None:
        store.receive(ONE)
        assert found.find("d1") == ONE
        assert found.find("d") is None

    def test_the_rule_that_made_nothing_of_it_is_kept(self, store: Store, found: Deliveries) -> None:
        store.receive(ONE)
        ended = replace(ONE, status="ignored", reason=WHY.reason, why=WHY)
        store.update_delivery(ended)
        assert found.find("d1") == ended
        assert store.receive(ONE) == ended

    def test_what_became_a_run_after_all_has_no_such_rule(self, store: Store, found: Deliveries) -> None:
        store.update_delivery(replace(ONE, status="ignored", reason=WHY.reason, why=WHY))
        store.update_delivery(replace(ONE, status="run", run="r1", sha=""))
        known = found.find("d1")
        assert known is not None
        assert (known.run, known.why, known.sha) == ("r1", None, ONE.sha)

    def test_deliveries_of_a_commit_are_found_by_the_beginning_of_its_id(
        self, store: Store, found: Deliveries
    ) -> None:
        for number, sha in enumerate(("ab" * 20, "ab" * 20, "ac" * 20, "")):
            store.receive(replace(ONE, id=f"d{number}", sha=sha))
        assert [each.id for each in found.of_commit("abab")] == ["d1", "d0"]
        assert [each.id for each in found.of_commit("ab" * 20, limit=1)] == ["d1"]
        assert [each.id for each in found.of_commit("a")] == ["d2", "d1", "d0"]
        assert found.of_commit("ff") == []

    def test_deliveries_come_page_by_page_newest_first(self, store: Store, found: Deliveries) -> None:
        for number in range(4):
            store.receive(replace(ONE, id=f"d{number}", repository=f"acme/{number % 2}"))
        assert [each.id for each in found.page(limit=2)] == ["d3", "d2"]
        assert [each.id for each in found.page(limit=9, before=("github", "d2"))] == ["d1", "d0"]
        assert [each.id for each in found.page(limit=9, repository="acme/0")] == ["d2", "d0"]
        assert [each.id for each in found.page(limit=9, repository="acme/1", before=("github", "d3"))] == [
            "d1"
        ]
        assert [each.id for each in found.page(limit=1, before=("elsewhere", "d2"))] == ["d3"]
