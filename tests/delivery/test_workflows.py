"""Our workflows on GitHub: the same as .ci/run, and safe. What they run is checked; that GitHub runs it cannot be."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.package.release import notes, section
from tests.real import require
from turnout.core.errors import PermanentError

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / ".github"
NAMES = ("ci", "release")
PINNED = re.compile(r"^\s*-? ?uses: [\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def workflow(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.load(text(name), Loader=yaml.BaseLoader)  # `on` is a word
    return read


def text(name: str) -> str:
    return (GITHUB / "workflows" / f"{name}.yml").read_text()


def commands(name: str) -> Iterator[tuple[str, str]]:
    """Job, and each of its commands."""
    for job, said in workflow(name)["jobs"].items():
        for step in said["steps"]:
            if "run" in step:
                yield job, step["run"]


def test_ci_does_what_everybody_does_before_a_change_lands() -> None:
    steps = re.findall(r"^step (make .+)$", (ROOT / ".ci" / "run").read_text(), re.MULTILINE)
    assert len(steps) >= 4
    assert [said for _, said in commands("ci") if said.startswith("make")] == steps
    assert list(workflow("ci")["jobs"]) == [each.split()[1] for each in steps]


@pytest.mark.parametrize("name", NAMES)
def test_every_verb_and_file_that_a_workflow_names_exists(name: str) -> None:
    verbs = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for _, said in commands(name):
        assert set(re.findall(r"\bmake ([a-z-]+)", said)) <= verbs
        for path in re.findall(r"(?<![\w/])(?:local|infra)/[\w./-]+", said):
            assert (ROOT / path).exists(), path
        for module in re.findall(r"-m (local\.[\w.]+)", said):
            assert (ROOT / f"{module.replace('.', '/')}.py").exists(), module


@pytest.mark.parametrize("name", NAMES)
def test_every_action_is_pinned_and_every_job_is_given_its_rights_and_its_time(name: str) -> None:
    uses = [line for line in text(name).splitlines() if "uses:" in line]
    assert [line for line in uses if not PINNED.match(line)] == []
    assert workflow(name)["permissions"] == {}
    for job, said in workflow(name)["jobs"].items():
        assert said["permissions"], job
        assert int(said["timeout-minutes"]) <= 120, job
        for step in said["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] == "false", job


def test_one_action_is_of_one_version() -> None:
    used = re.findall(r"uses: ([\w./-]+)@([0-9a-f]{40})", text("ci") + text("release"))
    assert len({action for action, _ in used}) == len(set(used))


def test_pull_requests_see_no_secret_and_write_nothing() -> None:
    assert "secrets." not in text("ci")
    assert {each for job in workflow("ci")["jobs"].values() for each in job["permissions"].values()} == {
        "read"
    }
    assert set(workflow("ci")["on"]) == {"push", "pull_request"}, "never pull_request_target"


def test_nothing_is_published_before_a_reviewer_has_agreed() -> None:
    jobs = workflow("release")["jobs"]
    publishing = {
        name for name, job in jobs.items() if "packages" in job["permissions"] or name in ("pypi", "images")
    }
    assert {jobs[name]["environment"] for name in publishing} == {"release"}
    assert set(jobs["publish"]["needs"]) == publishing


def test_a_release_has_an_image_of_each_kind_that_is_built() -> None:
    from local.images.build import ITSELF, agents

    listed = re.search(r"for name in ([\w -]+); do", text("release"))
    assert listed
    assert set(listed[1].split()) == {ITSELF, *(f"turnout-{each}" for each in agents())}


# --- the notes of a release --------------------------------------------------------------------------

LOG = """# Changes

## [Unreleased]

## [1.2.0] - 2026-11-23

### Added

- A thing.

## [1.1.0] - 2026-10-01

- Older.
"""


def test_a_release_tells_what_the_change_log_tells_of_its_version() -> None:
    assert section(LOG, "1.2.0") == "### Added\n\n- A thing.\n"
    assert section(LOG, "1.1.0") == "- Older.\n"


@pytest.mark.parametrize("version", ["1.3.0", "1.2", "Unreleased"])
def test_a_version_of_which_nothing_is_told_is_not_released(version: str) -> None:
    with pytest.raises(PermanentError, match=r"CHANGELOG\.md tells nothing"):
        section(LOG, version)


def test_a_tag_that_is_not_the_version_is_not_released(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nversion = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(LOG)
    assert "A thing" in notes("v1.2.0", tmp_path)
    with pytest.raises(PermanentError, match=r"the tag is v1\.2\.1, and pyproject\.toml says 1\.2\.0"):
        notes("v1.2.1", tmp_path)
    chart = tmp_path / "infra/helm/agents/Chart.yaml"
    chart.parent.mkdir(parents=True)
    chart.write_text("version: 1.1.0\n")
    with pytest.raises(PermanentError, match=r"agents/Chart\.yaml says 1\.1\.0"):
        notes("v1.2.0", tmp_path)


def test_ours_could_be_released_but_for_the_heading() -> None:
    from turnout.cli.version import said

    version = said().split()[1]
    log = (ROOT / "CHANGELOG.md").read_text()
    if f"## [{version}]" not in log:
        log = log.replace("## [Unreleased]", f"## [{version}] - 2026-01-01", 1)
    assert len(section(log, version)) > 100


# --- checked by programs for it ----------------------------------------------------------------------

WRONG = """\
name: Wrong
on: [pull_request_target]
jobs:
  one:
    needs: [nobody]
    runs-on: ubuntu-24.04
    steps:
      - uses: actions/checkout@v6
      - run: echo "${{ github.event.pull_request.title }}" && exit 1
"""


def actionlint(*files: Path) -> subprocess.CompletedProcess[str]:
    program = subprocess.run(
        [ROOT / "local/setup/actionlint.sh", "--where"], capture_output=True, text=True, check=True
    ).stdout.strip()
    require("actionlint", shutil.which(program) is not None, "make real-parts builds it")
    return subprocess.run(
        [program, "-no-color", "-shellcheck=", "-pyflakes=", *files],
        capture_output=True,
        text=True,
        check=False,
    )


def zizmor(*files: Path) -> subprocess.CompletedProcess[str]:
    program = Path(sys.executable).with_name("zizmor")
    return subprocess.run(
        [program, "--offline", "--no-progress", "--no-config", *files],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.real
def test_actionlint_finds_nothing_in_ours_and_what_is_wrong_in_another(tmp_path: Path) -> None:
    ours = actionlint(*sorted((GITHUB / "workflows").glob("*.yml")))
    assert ours.returncode == 0, ours.stdout + ours.stderr
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(WRONG)
    found = actionlint(wrong)
    assert found.returncode == 1
    assert "potentially untrusted" in found.stdout
    assert "nobody" in found.stdout


def test_zizmor_finds_nothing_in_ours_and_what_is_wrong_in_another(tmp_path: Path) -> None:
    ours = zizmor(GITHUB)
    assert ours.returncode == 0, ours.stdout + ours.stderr
    wrong = tmp_path / ".github/workflows/wrong.yml"
    wrong.parent.mkdir(parents=True)
    wrong.write_text(WRONG)
    found = zizmor(wrong)
    assert found.returncode != 0
    for audit in ("dangerous-triggers", "template-injection", "unpinned-uses", "excessive-permissions"):
        assert f"[{audit}]" in found.stdout
