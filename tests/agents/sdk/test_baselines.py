"""The last findings of a branch, through the worker and the store."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agents.sdk.baselines import LARGEST
from tests.agents.sdk.hosts import Bench
from turnout.core.messages import Baseline
from turnout.core.model import Outcome
from turnout.core.result import Result

KEY = "baselines/team%2Fapp/main/scan.sarif"


@pytest.fixture(autouse=True)
def without_reports(bench: Bench) -> Iterator[None]:
    """The tests of this folder share one store."""
    yield
    for each in bench.artifacts.list("baselines/"):
        (bench.home / "artifacts" / each).unlink()


def report(bench: Bench, text: str, *, keeps: bool = True, number: int = 1, **more: object) -> Result:
    """An attempt that tells the earlier report, and gives ``text`` as its own."""
    baseline = Baseline(key=KEY, branch="main", keeps=keeps)
    options = {"report": text, **more}
    return bench.run("reporter", task="scan", number=number, baseline=baseline, options=options)


def test_a_report_is_what_the_next_one_is_compared_with(bench: Bench) -> None:
    assert report(bench, "first").summary == "earlier: None"
    assert report(bench, "second", number=2).summary == "earlier: first"
    assert bench.artifacts.get(KEY) == b"second"
    assert bench.artifacts.get("runs/run-1/scan/1/security.sarif") == b"first", "its own is kept apart"


def test_a_change_that_is_not_on_the_branch_is_compared_and_leaves_nothing(bench: Bench) -> None:
    report(bench, "first")
    assert report(bench, "other", keeps=False, number=2).summary == "earlier: first"
    assert bench.artifacts.get(KEY) == b"first"


def test_a_report_of_an_attempt_that_failed_counts_and_of_one_that_could_not_work_does_not(
    bench: Bench,
) -> None:
    report(bench, "first", outcome="failure")
    assert report(bench, "half", number=2, outcome="error").outcome is Outcome.ERROR
    assert bench.artifacts.get(KEY) == b"first"


def test_code_that_is_not_trusted_leaves_no_report_for_others(bench: Bench) -> None:
    baseline = Baseline(key=KEY, branch="main", keeps=True)
    bench.run("reporter", task="scan", baseline=baseline, options={"report": "x"}, trusted=False)
    assert list(bench.artifacts.list("baselines/")) == []


def test_a_report_that_is_too_large_is_not_compared_with_and_the_log_says_so(bench: Bench) -> None:
    bench.artifacts.put(KEY, b"x" * (LARGEST + 1))
    assert report(bench, "next").summary == "earlier: None"
    assert "too many to compare with" in bench.log("scan")
