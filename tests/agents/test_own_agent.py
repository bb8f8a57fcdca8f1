"""The three steps of docs/agents.md, "An agent of your own", done as they are written there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from local.demo.push import GIT_ENVIRONMENT

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/agents.md"
CHAPTER = re.compile(r"^## An agent of your own$(.*?)^## ", re.MULTILINE | re.DOTALL)
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """``file``: what the page calls it, empty: it is no file."""

    file: str
    language: str
    text: str


def blocks() -> list[Block]:
    chapter = CHAPTER.search(PAGE.read_text())
    assert chapter is not None
    return [Block(*found) for found in BLOCK.findall(chapter[1])]


@dataclass(frozen=True)
class Reader:
    """Somebody who has Turnout in a virtual environment, and does what the page says in a folder."""

    folder: Path
    environ: dict[str, str]

    def follow(self, block: Block) -> subprocess.CompletedProcess[str]:
        """The commands of a block, with what those before it have exported. The first that fails ends it."""
        kept = self.folder / ".exported"
        script = f"set -e\n. {kept}\n{block.text}export -p >{kept}\n"
        kept.touch()
        return subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environ,
            capture_output=True,
            text=True,
            check=False,
        )

    def write(self, block: Block) -> None:
        path = self.folder / block.file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.text)

    def git(self, *arguments: str) -> None:
        subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=self.environ | GIT_ENVIRONMENT,
            check=True,
            capture_output=True,
        )


@pytest.fixture
def reader(tmp_path: Path, turnout_home: Path) -> Reader:
    """pip asks no registry: what builds the package is there already."""
    venv, folder = tmp_path / "venv", tmp_path / "work"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", venv], check=True)
    site = next((venv / "lib").glob("python*/site-packages"))
    packages = [each for each in sys.path if Path(each).name == "site-packages"]
    (site / "turnout.pth").write_text("\n".join([*packages, f"{ROOT}\n"]))
    for name, module in (("turnout", "turnout.cli"), ("pip", "pip._internal.cli.main")):
        command = venv / "bin" / name
        command.write_text(f"#!{venv}/bin/python\nimport sys\nfrom {module} import main\nsys.exit(main())\n")
        command.chmod(0o755)
    folder.mkdir()
    environ = {
        "PATH": f"{venv}/bin:{os.environ['PATH']}",
        "HOME": str(tmp_path),
        "TURNOUT_HOME": str(turnout_home),
        "TURNOUT_SANDBOX": "none",
        "PIP_NO_INDEX": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads this one the other way round: no isolation
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return Reader(folder, environ)


@pytest.mark.real  # nothing outside is needed, but time is
@pytest.mark.timeout(240)
def test_the_three_steps_of_the_page_make_an_agent_that_a_pipeline_can_name(reader: Reader) -> None:
    files = {each.file: each for each in blocks() if each.file}
    install, run = [each for each in blocks() if each.language == "sh"]
    for name in ("turnout-headers/pyproject.toml", "turnout-headers/turnout_headers.py"):
        reader.write(files[name])
    installed = reader.follow(install)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    reader.write(files["pipeline.yml"])

    (reader.folder / "good.py").write_text("# SPDX-License-Identifier: MIT\n")
    (reader.folder / ".gitignore").write_text("turnout-headers/\n.exported\n")
    reader.git("init", "--quiet", "--initial-branch=main")
    reader.git("add", "--all")
    reader.git("commit", "--quiet", "--message", "Begin")
    well = reader.follow(run)
    assert well.returncode == 0, well.stdout + well.stderr
    assert "1 files say their licence" in well.stdout

    (reader.folder / "bad.py").write_text("print()\n")
    badly = reader.follow(run)
    assert badly.returncode == 1, badly.stdout + badly.stderr
    assert "1 of 2 files do not say their licence" in badly.stdout
    log = reader.follow(Block("", "sh", "turnout logs latest\n")).stdout
    assert "bad.py: its first line is not `# SPDX-License-Identifier: MIT`" in log

    pipeline = reader.folder / "pipeline.yml"
    pipeline.write_text(pipeline.read_text().replace("licence: MIT", "license: MIT"))
    wrong = reader.follow(run)
    assert wrong.returncode == 2, "an error, and not the code's failure"
    assert "with.license" in wrong.stdout, wrong.stdout


def test_without_being_named_by_the_operator_it_is_no_agent(reader: Reader) -> None:
    pipeline = next(each for each in blocks() if each.file == "pipeline.yml")
    reader.write(pipeline)
    said = reader.follow(Block("", "sh", "turnout plan pipeline.yml\n"))
    assert said.returncode != 0
    assert "headers" in said.stdout + said.stderr
    named = reader.follow(Block("", "sh", "export TURNOUT_AGENTS=headers\nturnout plan pipeline.yml\n"))
    assert named.returncode == 0, named.stdout + named.stderr
