"""What every store keeps of attestations. A part of `tests.contracts.store`."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.contracts.store_runs import Story, at, attempt_of, run_id
from turnout.core.attestation import Attestation
from turnout.core.errors import Conflict
from turnout.core.ports import Commit, Store

IMAGE, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"


def an_attestation(name: str, number: int = 1, seconds: float = 3, **more: tuple[str, ...]) -> Attestation:
    return Attestation(
        run=run_id(name),
        attempt=attempt_of(name, number),
        at=at(seconds),
        keyid="k" * 64,
        payload='{"name":"Bär","of":"' + attempt_of(name, number) + '"}',
        signature="c2ln",
        **more,
    )


def attest(story: Story, *made: Attestation) -> None:
    state = story.state
    story.store.commit(Commit(state, state.version, (), (), at(9), attestations=made))


class AttestationContract:
    def test_what_a_run_attests_is_kept_in_the_order_of_its_ends(self, store: Store) -> None:
        story, other = Story(store), Story(store, "two")
        story.begin()
        other.begin()
        first, second = an_attestation("one", 2, seconds=3), an_attestation("one", 1, seconds=4)
        attest(story, second)
        attest(story, first)
        attest(other, an_attestation("two"))
        assert list(store.attestations(story.id)) == [first, second]
        assert list(store.attestations(run_id("nobody"))) == []

    def test_an_image_leads_to_who_gave_it_and_to_who_was_given_it_the_newest_first(
        self, store: Store
    ) -> None:
        story, later = Story(store), Story(store, "two")
        story.begin()
        later.begin()
        build = an_attestation("one", 1, gave=(IMAGE, OTHER))
        check = an_attestation("one", 2, seconds=5, given=(IMAGE,))
        again = an_attestation("two", 1, seconds=6, gave=(IMAGE,))
        attest(story, build, check)
        attest(later, again)
        assert list(store.attestations_of(IMAGE, gave=True)) == [again, build]
        assert list(store.attestations_of(IMAGE, gave=True, limit=1)) == [again]
        assert list(store.attestations_of(IMAGE, gave=False)) == [check]
        assert list(store.attestations_of(OTHER, gave=True)) == [build]
        assert list(store.attestations_of(OTHER, gave=False)) == []

    def test_what_is_attested_once_is_never_replaced(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        attest(story, an_attestation("one"))
        attest(story, replace(an_attestation("one"), payload="{}"))
        assert list(store.attestations(story.id)) == [an_attestation("one")]

    def test_nothing_is_attested_by_a_commit_that_is_refused(self, store: Store) -> None:
        story = Story(store)
        story.begin()
        stale = story.state.with_(version=7)
        with pytest.raises(Conflict):
            store.commit(
                Commit(stale, 7, (), (), at(9), attestations=(an_attestation("one", gave=(IMAGE,)),))
            )
        assert list(store.attestations(story.id)) == []
        assert list(store.attestations_of(IMAGE, gave=True)) == []
