from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from local.projects.fetch import archive, repository
from local.projects.outcome import Ran, cells, note, page, read
from local.projects.table import PROJECTS, Published
from tests.agents.workspace import write
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.core.result import FailedCase, Findings, Result
from turnout.core.result import Tests as Counts

PROJECT = Published("shop", "1.2", "pypi", "shop-1.2.tar.gz", "")


def packed(cache: Path) -> Published:
    """An archive in the cache, as if it had been fetched, and its row of the table."""
    write(cache / "content/shop-1.2", {"shop.py": "x = 1\n"})
    path = cache / PROJECT.archive
    with tarfile.open(path, "w:gz") as made:
        made.add(cache / "content/shop-1.2", "shop-1.2")
    return replace(PROJECT, sha256=hashlib.sha256(path.read_bytes()).hexdigest())


def test_an_archive_becomes_a_repository_of_one_tagged_commit_with_a_pipeline(tmp_path: Path) -> None:
    project = packed(tmp_path)
    root = repository(project, archive(project, tmp_path), tmp_path / "made")
    assert (root / "shop.py").read_text() == "x = 1\n"
    assert (root / "pipeline.yml").read_text() == project.pipeline
    log = subprocess.run(
        ["git", "log", "--format=%H %D"], cwd=root, capture_output=True, text=True, check=True
    ).stdout
    assert "tag: v1.2" in log
    again = repository(project, archive(project, tmp_path), tmp_path / "again")
    same = subprocess.run(
        ["git", "log", "--format=%H %D"], cwd=again, capture_output=True, text=True, check=True
    )
    assert same.stdout == log, "the same archive gives the same commit"


def test_an_archive_with_another_content_than_was_looked_at_is_refused(tmp_path: Path) -> None:
    project = replace(packed(tmp_path), sha256="0" * 64)
    with pytest.raises(PermanentError, match="its SHA-256 is"):
        archive(project, tmp_path)


def lines(result: Result) -> list[str]:
    event = {"kind": "attempt_finished", "task": "test", "result": result.to_json()}
    return [
        json.dumps({"run": "r", "version": 1, "event": {"kind": "run_created"}}),
        json.dumps({"run": "r", "version": 2, "event": event}),
        json.dumps({"outcome": result.outcome.value, "run": "r", "stages": []}),
    ]


def test_counts_and_tools_are_those_of_the_last_attempt() -> None:
    result = Result(
        outcome=Outcome.SUCCESS,
        tests=Counts(total=9, passed=7, skipped=2),
        tools={"pytest": "9.2.0", "python": "3.11"},
    )
    ran = read(lines(result), 12.4)
    lint = Result(outcome=Outcome.SUCCESS, findings=Findings(), tools={"ruff": "1"})
    ran = replace(ran, results={**ran.results, "lint": lint})
    assert cells(PROJECT, replace(ran, seconds=30.6), ran) == (
        "shop 1.2", "pytest 9.2.0", "7", "0", "2", "ruff: nothing", "success", "31 s", "12 s",
    )  # fmt: skip
    assert note(PROJECT, ran) == ""


def test_what_did_not_succeed_says_why_below_the_table() -> None:
    case = FailedCase(id="t.py::test_x", name="t.py › test_x", message="1 != 2")
    tests = Counts(total=3, failed=1, failed_cases=(case,))
    result = Result(outcome=Outcome.FAILURE, summary="1 of 3 tests failed", tests=tests)
    ran = read(lines(result), 1.0)
    text = page([(PROJECT, ran, ran)])
    assert "| shop 1.2 | – | 0 | 1 | 0 | – | failure | 1 s | 1 s |" in text
    assert "- **shop**: test: 1 of 3 tests failed; `t.py › test_x`: 1 != 2" in text


def test_a_project_that_could_not_be_run_stays_in_the_table() -> None:
    ran = Ran("error", 0.0, problem="the registry sent nothing")
    assert "- **shop**: the registry sent nothing" in page([(PROJECT, ran, ran)])


def test_the_table_has_enough_and_is_pinned() -> None:
    assert len(PROJECTS) >= 5
    assert {each.registry for each in PROJECTS} == {"pypi", "npm"}
    assert len({each.name for each in PROJECTS}) == len(PROJECTS)
    assert all(len(each.sha256) == 64 and each.version in each.archive for each in PROJECTS)
