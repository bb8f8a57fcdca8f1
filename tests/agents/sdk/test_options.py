from __future__ import annotations

from typing import Any

import pytest

from agents.sdk.options import read_options
from agents.sdk.workspace import AgentError
from agents.test.options import SuiteOptions


def said(given: dict[str, Any]) -> str:
    with pytest.raises(AgentError) as caught:
        read_options(SuiteOptions, given)
    return str(caught.value)


def test_an_unknown_option_is_named_with_its_place_and_the_nearest_name() -> None:
    assert "with.coverage_mini: there is no such option; did you mean 'coverage_min'?" in said(
        {"coverage_mini": 80}
    )


def test_all_mistakes_are_told_at_once() -> None:
    told = said({"runner": "pytests", "coverage_min": 120, "nothing_like_it_at_all": 1})
    assert "with.runner[0]: expected 'pytest'" in told
    assert "with.coverage_min: expected less than or equal to 100, got '120'" in told
    assert "with.nothing_like_it_at_all: there is no such option (valid options: runner, args," in told


def test_a_single_string_stands_for_a_list_of_one() -> None:
    options = read_options(SuiteOptions, {"runner": "jest", "args": "-q", "paths": "tests/unit"})
    assert (options.runner, options.args, options.paths) == (("jest",), ("-q",), ("tests/unit",))


def test_a_version_that_yaml_read_as_a_number_is_refused_since_its_zeros_are_gone() -> None:
    assert "put the version in quotes" in said({"python": 3.1})
    assert read_options(SuiteOptions, {"node": 20}).node == "20"


@pytest.mark.parametrize("path", ["/etc", "../other", "a/../../b"])
def test_a_path_that_leaves_the_repository_is_refused(path: str) -> None:
    assert "must be a path inside the repository" in said({"working_directory": path})
    assert "must be a path inside the repository" in said({"paths": [path]})
