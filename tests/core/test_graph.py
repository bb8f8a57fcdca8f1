from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from turnout.core.graph import cycles, order


def test_ties_keep_the_order_they_were_given_in() -> None:
    assert order({"c": [], "a": [], "b": ["c"]}) == ("c", "a", "b")
    assert order({"b": ["z"], "a": [], "z": ["a"]}) == ("a", "z", "b")


def test_what_is_on_or_behind_a_cycle_has_no_place() -> None:
    assert order({"a": [], "b": ["c"], "c": ["b"], "d": ["c"]}) == ("a",)


def test_a_cycle_begins_with_the_name_that_comes_first() -> None:
    assert cycles({"x": ["c"], "a": ["b"], "b": ["c"], "c": ["a"]}) == (("a", "b", "c"),)


def test_a_name_that_needs_itself_is_a_cycle_of_one() -> None:
    assert cycles({"a": ["a"]}) == (("a",),)


def test_cycles_apart_are_all_found() -> None:
    assert cycles({"a": ["b"], "b": ["a"], "c": [], "d": ["e", "a"], "e": ["d"]}) == (("a", "b"), ("d", "e"))


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.sampled_from("abcdef"), max_size=3), max_size=6)
)
def test_every_name_is_ordered_or_behind_a_cycle_that_is_found(needs: dict[str, list[str]]) -> None:
    placed = order(needs)
    for index, name in enumerate(placed):
        assert {need for need in needs[name] if need in needs} <= set(placed[:index])
    found = cycles(needs)
    assert bool(found) is (len(placed) < len(needs))
    for cycle in found:
        assert not set(cycle) & set(placed)
        assert all(after in needs[name] for name, after in zip(cycle, (*cycle[1:], cycle[0]), strict=True))
    named = [name for cycle in found for name in cycle]
    assert len(named) == len(set(named))
