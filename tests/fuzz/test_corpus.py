"""Inputs that once did harm, and some of each shape: none may do harm again, nor take long."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fuzz import targets

DEADLINE = 2.0
"""Seconds for one input; they take milliseconds."""


@pytest.mark.parametrize("name", sorted(targets.TARGETS))
def test_every_target_has_something_to_begin_with(name: str) -> None:
    assert targets.seeds(name)


def test_every_input_belongs_to_a_target() -> None:
    assert {each.name for each in targets.CORPUS.iterdir()} == set(targets.TARGETS)


@pytest.mark.parametrize(
    ("name", "path"),
    [(name, path) for name in sorted(targets.TARGETS) for path in targets.seeds(name)],
    ids=lambda each: each.name if isinstance(each, Path) else each,
)
def test_an_input_ends_in_an_answer_or_in_an_error_of_ours(name: str, path: Path) -> None:
    began = time.process_time()
    targets.run(name, path.read_bytes())
    assert time.process_time() - began < DEADLINE
