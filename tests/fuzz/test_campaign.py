"""A minute of coverage-guided fuzzing, and that it would find something if there were something to find."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.fuzz.campaign import ROOT, campaign, table
from tests.fuzz.targets import TARGETS
from tests.real import require

PLANTED = """
import sys
import atheris
from tests.fuzz import guided, targets
from turnout.adapters import yaml_source

whole = yaml_source.load

def load(text, file):
    document = whole(text, file)
    if text.count("*a") > 1:
        raise KeyError("planted")
    return document

yaml_source.load = load
guided.main()
"""


@pytest.mark.real
@pytest.mark.timeout(1500)
def test_a_minute_of_fuzzing_finds_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    require(
        "atheris", find_spec("atheris") is not None, "it has wheels for Linux; make setup installs it there"
    )
    outcomes = campaign(sorted(TARGETS), 60, tmp_path)
    with capsys.disabled():
        print("\n" + "".join(f"  {line}\n" for line in table(outcomes).splitlines()))
    assert [each.said for each in outcomes if each.said] == []
    assert sum(each.inputs for each in outcomes) > 20_000
    assert all(each.inputs > 0 for each in outcomes)


@pytest.mark.real
@pytest.mark.timeout(300)
def test_a_planted_defect_is_found_and_its_input_kept(tmp_path: Path) -> None:
    require(
        "atheris", find_spec("atheris") is not None, "it has wheels for Linux; make setup installs it there"
    )
    (tmp_path / "planted.py").write_text(PLANTED)
    ran = subprocess.run(
        [
            sys.executable,
            str(tmp_path / "planted.py"),
            "yaml",
            "--seconds=60",
            f"--found={tmp_path}",
            "--seed=1",
        ],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        timeout=240,
        check=False,
    )
    assert ran.returncode != 0
    assert b"KeyError: 'planted'" in ran.stdout + ran.stderr, (ran.stdout + ran.stderr)[-3000:]
    assert list(tmp_path.glob("yaml-crash-*"))
