from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.cli.house import House
from tests.core.writing import EVERY_WORD, SMALLEST

TURNOUT = Path(sys.executable).parent / "turnout"
BROKEN = """\
pipeline:
  stagse: [lint]
  stages:
    - name: unit
      agent: tset
      retries: {max: lots}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pipeline.yml").write_text(SMALLEST)
    (tmp_path / "broken.yml").write_text(BROKEN)
    return tmp_path


def in_a_process(*arguments: str, at: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [TURNOUT, *arguments],
        cwd=at,
        env=os.environ | environ,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_valid_file_is_said_to_be_valid(house: House, folder: Path) -> None:
    said = house.turnout("validate", "pipeline.yml")
    assert (said.status, said.out) == (0, "✔ pipeline.yml is valid\n")
    assert house.turnout("validate", "pipeline.yml", "--json").json == {"errors": []}
    assert house.turnout("validate").status == 0


def test_every_problem_is_said_with_its_place(house: House, folder: Path) -> None:
    said = house.turnout("validate", "broken.yml")
    assert said.status == 1
    assert said.out.splitlines() == [
        "✘ broken.yml:2:3: pipeline.stagse: unknown key `stagse`; did you mean `stages`?",
        "✘ broken.yml:5:14: pipeline.stages[0].agent: unknown agent `tset`; did you mean `test`?",
        "✘ broken.yml:6:22: pipeline.stages[0].retries.max: got `lots`, expected a whole number",
    ]


@pytest.mark.parametrize("verb", ["validate", "plan"])
def test_problems_are_given_to_programs_by_their_fixed_names(house: House, folder: Path, verb: str) -> None:
    said = house.turnout(verb, "broken.yml", "--json")
    assert said.status == 1
    errors = said.json["errors"]
    assert [sorted(each) for each in errors] == [["column", "file", "hint", "line", "message", "path"]] * 3
    assert errors[0] == {
        "file": "broken.yml",
        "line": 2,
        "column": 3,
        "path": "pipeline.stagse",
        "message": "unknown key `stagse`",
        "hint": "did you mean `stages`?",
    }


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "can't be read: No such file or directory"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", ""),
        (b"pipeline: [", ""),
        (b"- lint", ""),
        (b"pipeline: {stages: []}", ""),
    ],
)
def test_a_file_that_is_none_is_a_problem_and_no_crash(
    house: House, folder: Path, content: bytes | None, said: str
) -> None:
    if content is not None:
        (folder / "odd.yml").write_bytes(content)
    found = house.turnout("validate", "odd.yml", "--json")
    assert found.status == 1
    assert [error["file"] for error in found.json["errors"]] == ["odd.yml"]
    assert said in found.json["errors"][0]["message"]


def test_a_folder_is_no_file(house: House, folder: Path) -> None:
    assert house.turnout("validate", str(folder)).status == 1


def test_a_project_file_is_checked_as_one(house: House, folder: Path) -> None:
    (folder / "project.yml").write_text("project: {repository: acme/shop}\n")
    assert house.turnout("validate", "project.yml", "--project").status == 0
    assert house.turnout("validate", "pipeline.yml", "--project").status == 1
    assert house.turnout("validate", "project.yml").status == 1


def planned(house: House, *arguments: str) -> dict[str, Any]:
    said = house.turnout("plan", *arguments, "--json")
    assert said.status == 0
    found = said.json
    assert isinstance(found, dict)
    return found


def test_the_smallest_file_plans_as_it_is(house: House, folder: Path) -> None:
    found = planned(house)
    assert [(stage["name"], stage["agent"], stage["needs"]) for stage in found["stages"]] == [
        ("lint", "lint", []),
        ("test", "test", ["lint"]),
        ("build", "build", ["test"]),
        ("security", "security", ["build"]),
        ("deploy", "deploy", ["security"]),
    ]
    assert {stage["retries"]["max"] for stage in found["stages"]} == {1}
    assert found["stages"][4]["environment"] == "staging"
    assert "success" in found["notify"]["on"]
    assert list(found)[:2] == ["digest", "stages"]
    assert len(found["digest"]) == 64


def test_a_plan_is_told_to_people_too(house: House, folder: Path) -> None:
    (folder / "every.yml").write_text(EVERY_WORD)
    (folder / "project.yml").write_text(
        "project: {repository: org/shop, environments: {staging: , production: }, "
        "secrets: {PYPI_TOKEN: {env: PYPI_TOKEN}}}\n"
    )
    said = house.turnout("plan", "every.yml", "--project", "project.yml")
    assert said.status == 0, said.err
    assert "unit (test)" in said.out
    assert "unit[python=3.11], unit[python=3.12]" in said.out
    assert "up to 2 retries, after 10 s, then 2 times as long each" in said.out
    assert "waits for approval by @org/release" in said.out


def test_the_same_input_gives_the_same_bytes_in_every_process(folder: Path) -> None:
    (folder / "every.yml").write_text(EVERY_WORD)
    found = [
        in_a_process("plan", "every.yml", "--json", at=folder, PYTHONHASHSEED=seed).stdout
        for seed in ("1", "2")
    ]
    assert found[0] == found[1]
    assert json.loads(found[0])["digest"]


@pytest.mark.parametrize(
    ("arguments", "changed"),
    [
        (["--branch", "main"], False),
        (["--branch", "tea"], True),
        (["--event", "pull_request"], True),
        (["--event", "tag", "--tag", "v2"], True),
        (["--path", "docs/a.md"], True),
        (["--path", "src/a.py"], False),
    ],
)
def test_the_change_decides_on_what_the_rules_ask_for(
    house: House, folder: Path, arguments: list[str], changed: bool
) -> None:
    (folder / "ruled.yml").write_text(
        'pipeline: {stages: [{agent: lint, when: {branch: [main], event: [push], paths: ["src/**"]}}, test]}\n'
    )
    found = planned(house, "ruled.yml", *arguments)
    assert bool(found["stages"][0]["skip"]) == changed


def test_a_change_that_starts_nothing_says_why(house: House, folder: Path) -> None:
    (folder / "mine.yml").write_text("pipeline: {on: {push: {branches: [main]}}, stages: [lint]}\n")
    found = planned(house, "mine.yml", "--branch", "tea")
    assert (found["digest"], found["stages"]) == ("", [])
    assert "tea" in found["reason"]
    assert "Nothing would run: " in house.turnout("plan", "mine.yml", "--branch", "tea").out


def test_an_unknown_event_is_told_those_there_are(house: House, folder: Path) -> None:
    said = house.turnout("plan", "--event", "cake")
    assert (said.status, said.out) == (2, "")
    assert said.err == (
        "turnout: --event: got 'cake' (expected one of push, pull_request, tag, manual, schedule, dispatch)\n"
    )


def test_words_of_a_file_are_never_taken_for_markup(house: House, folder: Path) -> None:
    (folder / "odd.yml").write_text("pipeline: {'[red]': 1, stages: [lint]}\n")
    assert "[red]" in house.turnout("validate", "odd.yml").out


def test_the_command_is_there_with_its_exit_status(folder: Path) -> None:
    broken = in_a_process("validate", "broken.yml", at=folder)
    assert (broken.returncode, broken.stderr) == (1, "")
    assert broken.stdout.count("\n") == 3


def test_without_a_project_file_the_plan_is_that_of_a_run_of_this_checkout(
    house: House, folder: Path
) -> None:
    (folder / ".git").mkdir()
    (folder / "below").mkdir()
    (folder / "below" / "pipeline.yml").write_text("pipeline:\n  stages: [lint]\n")
    here, named, other = (
        planned(house, "below/pipeline.yml", *more)["digest"]
        for more in ((), ("--repository", f"local/{folder.name}"), ("--repository", "local/other"))
    )
    assert here == named != other
