"""The page of the benchmark: figures in their places, words untouched, misses told."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.bench import render
from tests.bench.render import between, round_ratios

MACHINE = {
    "when": "2026-11-22", "commit": "abc", "cores": 2, "processor": "P", "memory": 8, "system": "Linux 6",
    "python": "3.11", "load": 0.1,
}  # fmt: skip


def timed(start: float, step: float, whole: float, memory: float = 100) -> dict[str, Any]:
    return {"accept": [1.0], "start": [start], "step": [step] * 4, "whole": [whole], "memory": memory}


def latency(**values: dict[str, Any]) -> dict[str, Any]:
    named = {name.replace("_", "-"): each for name, each in values.items()}
    return {"latency": {"machine": MACHINE, "command": "make bench", "values": named}}


def test_figures_are_put_between_their_marks_and_words_stay() -> None:
    page = "before\n<!-- figures: a -->\nold\n<!-- end: a -->\nafter\n"
    once = between(page, "a", "new")
    assert once == "before\n<!-- figures: a -->\n\nnew\n\n<!-- end: a -->\nafter\n"
    assert between(once, "a", "new") == once


def test_a_page_without_the_mark_is_an_error() -> None:
    with pytest.raises(ValueError, match="figures: b"):
        between("<!-- figures: a --><!-- end: a -->", "b", "new")


def test_ratios_are_taken_of_the_same_round() -> None:
    ours, peer = {"start": [2.0, 30.0]}, {"start": [1.0, 10.0]}
    assert round_ratios(ours, peer, "start") == [2, 3]


def test_the_steps_of_a_round_are_taken_by_their_median() -> None:
    ours = {"step": [1.0, 2.0, 2.0, 9.0, 6.0, 6.0, 6.0, 6.0]}
    peer = {"step": [4.0, 4.0, 4.0, 4.0, 2.0, 2.0, 2.0, 2.0]}
    assert round_ratios(ours, peer, "step") == [0.5, 3]


@pytest.mark.parametrize(("start", "said"), [(40.0, "yes"), (41.0, "**no**")])
def test_what_was_not_reached_is_said(start: float, said: str) -> None:
    found = latency(turnout=timed(start, 10, 100), buildbot=timed(400, 180, 1200))
    rows = [line for line in render.targets(found).splitlines() if line.startswith("| start |")]
    assert [row.rsplit("|", 2)[1].strip() for row in rows] == [said]


def test_a_part_that_was_not_measured_says_what_measures_it() -> None:
    assert "make bench ONLY=burst" in render.burst({})


def test_the_whole_page_is_written_from_what_was_measured(tmp_path: Path) -> None:
    results = tmp_path / "results"
    results.mkdir()
    measured = latency(turnout=timed(40, 10, 100), buildbot=timed(400, 180, 1200))["latency"]
    (results / "latency.json").write_text(json.dumps(measured))
    page = tmp_path / "page.md"
    page.write_text(render.PAGE.read_text())
    render.write(results, page)
    text = page.read_text()
    assert "| Turnout (SQLite, sandbox) | 40.0 (40.0 – 40.0) |" in text
    assert "make bench ONLY=scale" in text


def test_the_committed_page_holds_the_committed_figures(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(render.PAGE.read_text())
    render.write(render.RESULTS, page)
    assert page.read_text() == render.PAGE.read_text(), "run `make bench ONLY=none`"
