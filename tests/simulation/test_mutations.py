"""The proof that the simulator would notice: each planted defect is found, and within so many seeds."""

from __future__ import annotations

import os
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context

import pytest

from tests.simulation.mutations import PLANTS, Found, look_for
from tests.simulation.playing import play_all

WITHIN = 1500
"""Seeds."""
SEEN_AT_ONCE = (
    "there is no inbox: a message that comes twice is handled twice",
    "the projection is not written with the events",
    "nobody looks at tokens",
    "a run's id is not derived from its trigger",
    "stages start without what they need",
    "agents are not told to stop",
    "an offset is committed before its record is done",
    "an agent begins before the position of its task is committed",
    "a message to people is sent without being reserved",
    "the dispatcher gives up at the first failure",
    "which run holds an environment is not recorded",
    "an environment is never given back",
    "who waits for an environment is not told, nor looked at",
    "a run does not wait for its rollback",
    "nothing is ever rolled back",
    "a job that has ended is lost before its result has had time",
    "the gateway does not look at passes",
    "the gateway takes what comes after the end of an attempt",
)
"""Those that take few seeds to find: the rest is looked for in `make test-real`."""


@pytest.mark.parametrize("sentence", SEEN_AT_ONCE)
def test_a_defect_is_found(sentence: str) -> None:
    assert look_for(sentence, WITHIN).played is not None


@pytest.mark.real
@pytest.mark.timeout(900)
def test_every_defect_is_found(capsys: pytest.CaptureFixture[str]) -> None:
    """Prints at which seed."""
    assert len(PLANTS) >= 15
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn")) as pool:
        found: dict[str, Found] = dict(
            zip(PLANTS, pool.map(partial(look_for, limit=WITHIN), PLANTS), strict=True)
        )
    with capsys.disabled():
        print(f"\n{len(found)} planted defects:")
        for sentence, each in found.items():
            seen = (
                f"{each.played.broken.name} (seed {each.played.seed})"
                if each.played and each.played.broken
                else "NOT FOUND"
            )
            print(f"{each.seeds:5} seeds  {sentence}: {seen}")
    assert [sentence for sentence, each in found.items() if each.played is None] == []


def test_a_plant_is_gone_afterwards() -> None:
    look_for("nobody looks at tokens", 5)
    assert play_all(range(5)).broken == []
