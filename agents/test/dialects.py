"""What differs between the JavaScript runners: how they are asked, and what they write."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from agents.sdk.junit import Case
from agents.test import reporters
from agents.test.javascript_reports import read_json, read_mocha, read_node
from agents.test.report import Asked, files_of


@dataclass(frozen=True, slots=True)
class Dialect:
    """``package``: what npm calls the runner, empty: it is Node.js itself. ``tool``: what to install where a project
    lacks it. ``arguments`` and ``read`` get the folder for reports. ``coverage``: measured by the runner itself, or by
    c8 around it. ``selects``: it can run some cases only. ``silent``: whose fault it is when no report was written.
    """

    name: str
    package: str
    tool: str
    base: tuple[str, ...]
    arguments: Callable[[Asked, Path], list[str]]
    read: Callable[[Path, Path], tuple[Case, ...] | None]
    coverage: Literal["own", "c8"]
    selects: bool
    silent: Literal["failure", "error"]


def in_script(dialect: Dialect, text: str, arguments: Sequence[str]) -> list[str]:
    """A shell that runs a part of the project's script with more arguments. Node.js takes its own before its files."""
    if dialect.name != "node":
        return ["sh", "-c", f'{text} "$@"', "sh", *arguments]
    return [
        "sh",
        "-c",
        re.sub(r"(?<!\S)node(?=\s)", lambda _: shlex.join(["node", *arguments]), text, count=1),
    ]


def _jest(asked: Asked, folder: Path) -> list[str]:
    arguments = ["--ci", "--json", f"--outputFile={folder / 'report.json'}"]
    if asked.measured:
        arguments += ["--coverage", "--coverageReporters=json-summary", "--coverageReporters=text-summary"]
        arguments += [f"--coverageDirectory={folder / 'coverage'}"]
    if asked.only:
        # A part of the cases covers a part of the code: the project's thresholds are for all.
        return [
            *arguments,
            "--coverage=false",
            "--runTestsByPath",
            *files_of(asked.only),
            *_names("-t", asked.only),
        ]
    return [*arguments, *asked.options.paths]


def _vitest(asked: Asked, folder: Path) -> list[str]:
    arguments = ["--run", "--reporter=default", "--reporter=json", f"--outputFile={folder / 'report.json'}"]
    if asked.measured:
        arguments += [
            "--coverage.enabled",
            "--coverage.reporter=json-summary",
            "--coverage.reporter=text-summary",
        ]
        arguments += [f"--coverage.reportsDirectory={folder / 'coverage'}"]
    if asked.only:
        return [*arguments, "--coverage.enabled=false", *files_of(asked.only), *_names("-t", asked.only)]
    return [*arguments, *asked.options.paths]


def _mocha(asked: Asked, folder: Path) -> list[str]:
    reporter = folder / "reporter.cjs"
    reporter.write_text(reporters.MOCHA, "utf-8")
    if asked.only:
        return ["--reporter", str(reporter), *_names("--grep", asked.only)]
    return ["--reporter", str(reporter), *asked.options.paths]


def _node(_: Asked, folder: Path) -> list[str]:
    reporter = folder / "reporter.mjs"
    reporter.write_text(reporters.NODE, "utf-8")
    return [
        "--test-reporter=spec", "--test-reporter-destination=stdout",
        f"--test-reporter={reporter.as_uri()}", f"--test-reporter-destination={folder / 'report.jsonl'}",
    ]  # fmt: skip


def _names(option: str, ids: Sequence[str]) -> list[str]:
    """The option that picks cases by their full names; none where a whole file is to be run again."""
    names = [each.partition("::")[2] for each in ids]
    if not all(names):
        return []
    return [option, f"^({'|'.join(_escaped(name) for name in dict.fromkeys(names))})$"]


def _escaped(name: str) -> str:
    """For a regular expression of JavaScript."""
    return re.sub(r"[\\^$.*+?()\[\]{}|/]", r"\\\g<0>", name)


DIALECTS: dict[str, Dialect] = {
    each.name: each
    for each in (
        Dialect("jest", "jest", "jest@30.5.2", (), _jest, read_json, "own", True, "error"),
        Dialect("vitest", "vitest", "vitest@3.2.7", (), _vitest, read_json, "own", True, "error"),
        Dialect("mocha", "mocha", "mocha@11.8.0", (), _mocha, read_mocha, "c8", True, "failure"),
        Dialect("node", "", "", ("--test",), _node, read_node, "c8", False, "failure"),
    )
}
