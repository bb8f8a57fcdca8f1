"""Turnout builds Turnout: its own pipeline, on a clone of itself, in the sandbox."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.real import require
from turnout.adapters.config_files import read_pipeline, read_project
from turnout.core.change import Change
from turnout.core.config import ProjectConfig
from turnout.core.model import ChangeKind
from turnout.core.plan import Plan
from turnout.core.planner import plan

ROOT = Path(__file__).resolve().parents[2]
FILE = ROOT / "pipelines" / "turnout.yml"
PROJECT = ROOT / "pipelines" / "turnout-project.yml"
TURNOUT = Path(sys.executable).with_name("turnout")


def planned(kind: ChangeKind) -> Plan:
    project = read_project(PROJECT.read_text(), str(PROJECT))
    change = Change(
        kind=kind,
        repository=project.repository,
        clone_url="",
        ref="refs/tags/v0.1.0" if kind is ChangeKind.TAG else "refs/heads/main",
        sha="0" * 40,
        branch="" if kind is ChangeKind.TAG else "main",
        tag="v0.1.0" if kind is ChangeKind.TAG else "",
        base_branch="main",
    )
    found = plan(read_pipeline(FILE.read_text(), str(FILE), project), project, change)
    assert isinstance(found, Plan)
    return found


def test_a_push_runs_what_every_machine_can_and_a_tag_is_released_by_people() -> None:
    run = {kind: {each.name for each in planned(kind).stages if not each.skip} for kind in ChangeKind}
    everywhere = {"style", "checks", "unit", "package"}
    assert run[ChangeKind.PUSH] == run[ChangeKind.PULL_REQUEST] == everywhere
    assert run[ChangeKind.SCHEDULE] == run[ChangeKind.MANUAL] == everywhere | {"image", "scan"}
    assert run[ChangeKind.TAG] == everywhere | {"image", "scan", "release"}
    (release,) = [each for each in planned(ChangeKind.TAG).stages if each.name == "release"]
    assert release.approval is not None
    assert {*release.needs} == {"package", "scan"}


def test_the_operators_file_finds_it_without_being_told() -> None:
    project: ProjectConfig = read_project(PROJECT.read_text(), str(PROJECT))
    assert ROOT / str(project.pipeline_file) == FILE


@pytest.mark.real
@pytest.mark.timeout(600)
def test_a_clone_of_it_passes_with_a_part_of_its_tests(tmp_path: Path) -> None:
    """The part is an input that the pipeline offers; all other stages are whole."""
    require("bubblewrap", shutil.which("bwrap") is not None, "make real-parts installs it")
    clone = tmp_path / "turnout"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    ran = subprocess.run(
        [
            *(TURNOUT, "run", clone, "--file", "pipelines/turnout.yml"),
            *("--input", "tests=tests/core/test_cron.py tests/core/test_globs.py", "--json"),
        ],
        cwd=tmp_path,
        env=os.environ | {"TURNOUT_REMOTE": "local"},
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    lines = [json.loads(line) for line in ran.stdout.splitlines()]
    ended = {
        line["event"]["stage"]: line["event"]["outcome"]
        for line in lines
        if line.get("event", {}).get("kind") == "stage_finished"
    }
    passed = dict.fromkeys(("style", "checks", "unit", "package"), "success")
    assert ended == passed, last_words(*(name for name in passed if ended.get(name) == "failure"))
    assert ran.returncode == 0, ran.stderr
    (unit,) = [
        line["event"]["result"]
        for line in lines
        if line.get("event", {}).get("kind") == "attempt_finished" and line["event"]["task"] == "unit"
    ]
    assert re.search(r"^\d+ tests passed", unit["summary"]), unit["summary"]
    assert 20 <= unit["tests"]["passed"] < 500


def last_words(*stages: str) -> str:
    logs = [
        subprocess.run(
            [TURNOUT, "--remote", "local", "logs", "latest", each],
            capture_output=True,
            text=True,
            check=False,
        ).stdout
        for each in stages
    ]
    return "\n".join(each[-3000:] for each in logs)
