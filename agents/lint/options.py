"""What ``with:`` of a lint stage may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator

from agents.sdk.options import Inside, InsidePaths, Version, Words
from turnout.core.model import Value

Tool = Literal["pylint", "ruff", "eslint"]
Threshold = Literal["critical", "high", "medium", "low", "note", "never"]

_ALIASES = {
    "fatal": "critical",
    "error": "high",
    "warning": "medium",
    "convention": "low",
    "refactor": "low",
    "info": "note",
    "any": "note",
}


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _severity(value: object) -> object:
    return _ALIASES.get(value, value) if isinstance(value, str) else value


class LintOptions(Value):
    """``tool``: empty means to look. ``fail_on``: the least severity that fails the stage; the tools' own words
    (``error``, ``warning``, ``convention``…) are taken too. ``paths``: what to check, for every tool of the stage.
    ``args``: added to the tool's own; only where there is one tool. ``install``: as for the test agent.
    """

    tool: Annotated[tuple[Tool, ...], BeforeValidator(_listed)] = ()
    args: Words = ()
    paths: InsidePaths = ()
    fail_on: Annotated[Threshold, BeforeValidator(_severity)] = "high"
    working_directory: Inside = "."
    python: Version = ""
    node: Version = ""
    install: Words = ()
