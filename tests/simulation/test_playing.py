"""A failing seed becomes a story, as short as it can be."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.simulation.mutations import planted
from tests.simulation.playing import _fewest, explained


def test_only_what_is_needed_to_fail_is_left() -> None:
    def fails(items: Sequence[int]) -> bool:
        return {7, 31} <= set(items)

    assert _fewest(list(range(50)), fails) == [7, 31]


def test_what_fails_with_nothing_at_all_needs_nothing() -> None:
    assert _fewest([1, 2, 3], lambda _items: True) == []


def test_a_seed_that_fails_is_told_with_its_invariant_its_causes_and_how_to_see_it_again() -> None:
    with planted("nobody looks at tokens"):
        said = explained(next(seed for seed in range(100) if "breaks" in explained_shortly(seed)))
    lines = said.splitlines()
    assert "only results with the attempt's token count" in lines[1]
    assert lines[2].startswith("enough for it to happen: push-")
    assert any("asks for forge of run" in line for line in lines)
    assert any("the watch" in line for line in lines)
    assert lines[-1].startswith("make simulate SEED=")


def explained_shortly(seed: int) -> str:
    from tests.simulation.playing import play
    from tests.simulation.world import simulated

    with simulated():
        return "breaks" if play(seed).broken else ""


def test_a_seed_that_does_not_fail_says_so() -> None:
    assert explained(1) == "seed 1: every invariant holds"


@pytest.mark.parametrize("seed", [0, 5])
def test_what_is_left_out_does_not_happen(seed: int) -> None:
    from tests.simulation.playing import story
    from tests.simulation.world import simulated

    with simulated():
        played, lines = story(seed, only=["push-0"])
    assert played.strikes == ()
    assert played.planned == ("push-0",)
    assert played.runs <= 1
    assert not [line for line in lines if line[1] in ("ada", "bob", "eve")]
