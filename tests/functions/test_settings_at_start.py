"""A function whose settings are wrong does not start, and says all of it at once."""

from __future__ import annotations

import os
import runpy

import pytest

from tests.infra.places import ROOT
from turnout.adapters.settings import InvalidSettings
from turnout.stack.layout import CONSOLE, FUNCTIONS

EACH = pytest.mark.parametrize("function", [*FUNCTIONS, CONSOLE])


@pytest.fixture(autouse=True)
def empty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("TURNOUT_"):
            monkeypatch.delenv(name)


def start(function: str) -> dict[str, object]:
    return runpy.run_path(str(ROOT / "functions" / function / "main.py"), run_name=function)


@EACH
def test_it_starts_where_nothing_is_set(function: str) -> None:
    assert callable(start(function)[function])


@EACH
def test_it_ends_with_all_that_is_wrong(function: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_LEASE", "soon")
    monkeypatch.setenv("TURNOUT_MIGRATE", "never")
    monkeypatch.setenv("TURNOUT_LAUNCHER_RUNTIMES", "abacus")
    with pytest.raises(InvalidSettings) as refused:
        start(function)
    for said in (
        "TURNOUT_LEASE: ",
        "TURNOUT_MIGRATE: ",
        "TURNOUT_LAUNCHER_RUNTIMES: ",
        "turnout settings",
    ):
        assert said in str(refused.value)
