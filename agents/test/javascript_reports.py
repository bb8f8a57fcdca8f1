"""Reading what the JavaScript runners, and the reporters given to them, have written."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from agents.sdk import toolchain
from agents.sdk.junit import Case, Status, one_line, plain


@toolchain.written_by("the runner's report")
def read_json(folder: Path, root: Path) -> tuple[Case, ...] | None:
    """Jest's ``--json``, which Vitest writes as well."""
    content = toolchain.read_json(folder, "report.json")
    if not isinstance(content, dict):
        return None
    return tuple(case for suite in content.get("testResults", ()) for case in _jest_file(suite, root))


def _jest_file(suite: Mapping[str, Any], root: Path) -> Iterable[Case]:
    file = relative(str(suite.get("name", "")), root)
    tests = suite.get("assertionResults", ())
    if suite.get("status") == "failed" and not any(test.get("status") == "failed" for test in tests):
        message = str(suite.get("message", ""))
        yield Case(file, file, Status.ERROR, file=file, message=_told(message), details=message)
    for test in tests:
        name = str(test.get("fullName", "")).strip()
        told = "\n".join(str(each) for each in test.get("failureMessages") or ())
        match test.get("status"):
            case "passed":
                status = Status.PASSED
            case "failed":
                status = Status.FAILED
            case _:
                status = Status.SKIPPED
        yield Case(
            id=f"{file}::{name}",
            name=str(test.get("title", name)),
            status=status,
            suite=" ".join([file, *map(str, test.get("ancestorTitles", ()))]),
            file=file,
            duration=float(test.get("duration") or 0) / 1000,
            message=_expectation(told) if status is Status.FAILED else "",
            details=told,
        )


def _expectation(told: str) -> str:
    """What was compared, with both values: Jest says that on the lines before the stack."""
    lines = [line.strip() for line in plain(told).partition("\n    at ")[0].splitlines() if line.strip()]
    return one_line("; ".join(lines[:4]))


def _told(message: str) -> str:
    """Jest begins with a heading (``● Test suite failed to run``); the cause comes after."""
    lines = [line for line in message.splitlines() if line.strip() and "●" not in line]
    return one_line("\n".join(lines) or message)


@toolchain.written_by("mocha's report")
def read_mocha(folder: Path, root: Path) -> tuple[Case, ...] | None:
    found: dict[int, Case] = {}
    lines = toolchain.read_json_lines(folder, "report.jsonl")
    if lines is None:
        return None
    for line in lines:
        if line.get("end"):
            continue
        file = relative(line["file"], root)
        status = Status(line["status"])
        if line["hook"]:
            status = Status.ERROR
        found[line["number"]] = Case(  # a case that passes first and fails afterwards has failed
            id=file if line["hook"] else f"{file}::{line['full']}",
            name=line["title"],
            status=status,
            suite=f"{file} {line['suite']}".strip(),
            file=file,
            duration=line["duration"] / 1000,
            message=one_line(line["message"]),
            details=line["details"],
        )
    return tuple(found.values())


@toolchain.written_by("node's report")
def read_node(folder: Path, root: Path) -> tuple[Case, ...] | None:
    """Node.js counts a test that has subtests as one more test; a suite (``describe``) is none."""
    lines = toolchain.read_json_lines(folder, "report.jsonl")
    if lines is None:
        return None
    found: list[tuple[Mapping[str, Any], Case]] = []
    for line in lines:
        case = _node_case(line, relative(line["file"], root), root)
        if line["kind"] == "hookFailed" and line["suite"]:
            found = [_cancelled(each, line, case) for each in found]
            if not any(each.message == case.message for _, each in found):
                found.append((line, case))
        elif not line["suite"]:
            found.append((line, case))
    return tuple(case for _, case in found)


def _node_case(line: Mapping[str, Any], file: str, root: Path) -> Case:
    name = line["path"][-1]
    status = Status.FAILED if line["failed"] else Status.SKIPPED if line["skipped"] else Status.PASSED
    unloadable = line["failed"] and relative(name, root) == file
    if unloadable or line["kind"] == "hookFailed":
        status = Status.ERROR
    return Case(
        id=file if status is Status.ERROR else f"{file}::{' '.join(line['path'])}",
        name=file if unloadable else name,
        status=status,
        suite=" ".join([file, *line["path"][:-1]]),
        file=file,
        duration=line["duration"] / 1000,
        message=one_line(line["message"]),
        details=line["details"],
    )


def _cancelled(
    each: tuple[Mapping[str, Any], Case], hook: Mapping[str, Any], cause: Case
) -> tuple[Mapping[str, Any], Case]:
    """A case that never ran, since a hook of its suite failed, says what the hook said."""
    line, case = each
    within = line["path"][: len(hook["path"])] == hook["path"] and line["file"] == hook["file"]
    if not within or line["kind"] != "cancelledByParent":
        return each
    return line, replace(case, status=Status.ERROR, message=cause.message, details=cause.details)


def relative(file: str, root: Path) -> str:
    path = file.removeprefix("file://")
    if not path or not os.path.isabs(path):
        return path
    for base in (root, root.resolve()):
        if Path(path).is_relative_to(base):
            return Path(path).relative_to(base).as_posix()
    return path
