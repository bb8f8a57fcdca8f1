"""What ``with:`` of a test stage may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from agents.sdk.options import Inside, InsidePaths, Version, Words
from turnout.core.model import Value

Runner = Literal["pytest", "jest", "mocha", "vitest", "node", "npm"]


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SuiteOptions(Value):
    """``runner``: empty means to look. ``args``: added to the runner's own. ``paths``: what to test, empty: as the
    project says. ``coverage``: measured; also where ``coverage_min`` (percent of lines) is given.
    ``install``: in place of what the project's files name: requirement files, requirements, ``.[extra]``; with
    ``npm:`` in front, packages to add to the JavaScript ones.
    ``cell``'s ``python`` and ``node`` stand for the options of these names.
    """

    runner: Annotated[tuple[Runner, ...], BeforeValidator(_listed)] = ()
    args: Words = ()
    paths: InsidePaths = ()
    working_directory: Inside = "."
    python: Version = ""
    node: Version = ""
    install: Words = ()
    coverage: bool = False
    coverage_min: float = Field(default=0.0, ge=0, le=100)
    retry: Literal["failed-tests", "all"] = "all"
    allow_no_tests: bool = False

    @property
    def measured(self) -> bool:
        return self.coverage or self.coverage_min > 0
