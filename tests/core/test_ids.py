from __future__ import annotations

from itertools import combinations
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from turnout.core.ids import attempt_id, delivery_message_id, derive, message_id, run_id

WORDS = st.text(st.characters(exclude_characters="\x1f"), max_size=20)


@given(st.lists(WORDS, max_size=4))
def test_the_same_cause_makes_the_same_id(cause: list[str]) -> None:
    made = derive(*cause)
    assert made == derive(*cause)
    assert UUID(made).version == 5


@given(st.lists(WORDS, min_size=1, max_size=4), st.lists(WORDS, min_size=1, max_size=4))
def test_different_causes_make_different_ids(one: list[str], other: list[str]) -> None:
    assert (derive(*one) == derive(*other)) == (one == other)


def test_parts_do_not_run_together() -> None:
    assert derive("ab", "c") != derive("a", "bc")
    assert derive("a", "") != derive("a")


def test_ids_of_different_kinds_never_meet() -> None:
    made = [
        run_id("x"),
        attempt_id("x", "y", 1),
        message_id("x", "y"),
        delivery_message_id("x", "y"),
        derive("x"),
    ]
    assert all(one != other for one, other in combinations(made, 2))


def test_every_attempt_of_every_task_of_every_run_has_its_own_id() -> None:
    made = [attempt_id(run, task, number) for run in "ab" for task in "ab" for number in (1, 2, 11)]
    assert len(set(made)) == len(made)


def test_ids_that_have_been_stored_stay_as_they_are() -> None:
    """A change of these would make every redelivery a second run."""
    assert delivery_message_id("github", "d1") == "30068c72-e570-5f6b-a95f-bbdc896c4f7f"
    assert run_id("30068c72-e570-5f6b-a95f-bbdc896c4f7f") == "c39cf05f-71d0-5893-b7a9-ea94814dd181"
    assert attempt_id("r", "test", 1) == "b960e528-733c-57b4-8a94-1afe7ef2ed5e"
    assert message_id("turnout.run.cancel", "r") == "0132c755-2daa-5425-8d91-d683c4cd5f53"
