"""The wheel, installed where there is no checkout: that it is enough, and the same bytes each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.package.distribution import PARTS, ROOT, build
from local.server_process import ServerProcess
from tests.real import require

pytestmark = [pytest.mark.real, pytest.mark.timeout(180)]

UV = Path(sys.executable).with_name("uv")
PIPELINE = """\
pipeline:
  stages:
    - {name: test, agent: test, with: {retry: failed-tests}, retries: 1}
    - {name: hello, agent: script, with: {run: echo hello}}
"""


@dataclass(frozen=True)
class Installed:
    """``environ``: of somebody who has the wheel, and nothing of this checkout."""

    turnout: Path
    environ: dict[str, str]
    sha: str

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.turnout, *words],
            cwd="/",
            env=self.environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=150,
            check=False,
        )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    sdist, wheel = build(ROOT, tmp_path_factory.mktemp("dist"))
    return sdist, wheel


@pytest.fixture(scope="module")
def installed(made: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Installed:
    """In a fresh environment, at the locked versions, which set-up has already fetched."""
    base = tmp_path_factory.mktemp("somewhere")
    pins = re.sub(r" \\$|^\s+--hash.*\n", "", (ROOT / "requirements.txt").read_text(), flags=re.MULTILINE)
    (base / "pins.txt").write_text(pins)
    environ = os.environ | {"UV_LINK_MODE": "copy"}
    quiet = {"env": environ, "check": True, "capture_output": True}
    subprocess.run([UV, "venv", "--quiet", "--python", sys.executable, base / "venv"], **quiet)  # type: ignore[call-overload]
    subprocess.run(
        [
            *(UV, "pip", "install", "--quiet", "--system-certs", "--python", base / "venv/bin/python"),
            *("--constraint", base / "pins.txt", made[1]),
        ],
        **quiet,
    )  # type: ignore[call-overload]
    sha = subprocess.run(["git", "-C", ROOT, "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(("PIP_", "SSL_")) or name in ("PATH", "LANG")
    }
    mine = {"HOME": str(base), "TURNOUT_HOME": str(base / "home"), "PATH": os.defpath}
    return Installed(base / "venv/bin/turnout", kept | mine, sha.stdout.strip())


def test_the_same_commit_makes_the_same_bytes(made: tuple[Path, Path], tmp_path: Path) -> None:
    again = build(ROOT, tmp_path)
    assert [each.name for each in again] == [each.name for each in made]
    assert [each.read_bytes() for each in again] == [each.read_bytes() for each in made]


def test_both_hold_every_file_that_is_not_for_building_images(made: tuple[Path, Path]) -> None:
    listed = subprocess.run(
        ["git", "-C", ROOT, "ls-tree", "-r", "--name-only", "HEAD", *PARTS],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    wanted = {
        each
        for each in listed
        if each.startswith(("turnout/", "functions/"))
        or (each.startswith("agents/") and each.endswith(".py"))
    }
    with tarfile.open(made[0]) as source, zipfile.ZipFile(made[1]) as wheel:
        in_source = {each.partition("/")[2] for each in source.getnames()}
        in_wheel = set(wheel.namelist())
    assert wanted - in_source == set()
    assert wanted - in_wheel == set()
    assert not [each for each in in_wheel if each.startswith(("tests/", "local/"))]


def test_it_says_its_version_and_its_commit(installed: Installed) -> None:
    said = installed.run("--version")
    assert said.stdout.strip() == f"turnout {_version()} (commit {installed.sha[:12]})"


def _version() -> str:
    found = re.search(r'^version = "(.+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert found
    return found[1]


def test_it_runs_the_sample_project(installed: Installed, tmp_path: Path) -> None:
    require("bubblewrap", shutil.which("bwrap") is not None, "make real-parts installs it")
    shop = tmp_path / "shop"
    shutil.copytree(ROOT / "local" / "sample", shop)
    (shop / "pipeline.yml").write_text(PIPELINE)
    for words in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", "-C", shop, *words], check=True)
    commit = ["-c", "user.name=Ada", "-c", "user.email=ada@example.org", "commit", "--quiet", "-m", "One"]
    subprocess.run(["git", "-C", shop, *commit], check=True)
    ran = installed.run("run", str(shop), "--json")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = json.loads(ran.stdout.splitlines()[-1])
    assert summary["outcome"] == "success"
    shown = installed.run("--remote", "local", "show", "latest").stdout
    assert "flaky" in shown
    assert installed.run("--remote", "local", "logs", "latest", "hello").stdout.endswith("hello\n")


@pytest.fixture(scope="module")
def console(installed: Installed) -> Iterator[httpx.Client]:
    """Somebody signed in."""
    log = installed.turnout.parents[2] / "up.log"
    server = ServerProcess(
        "turnout up",
        [str(installed.turnout), "up", "--port", "0"],
        log,
        "Ctrl-C",
        stop_signal=signal.SIGINT,
        env=installed.environ,
    )
    server.start(60)
    try:
        link = json.loads(installed.run("console-link", "--json").stdout)["link"]
        with httpx.Client(trust_env=False, follow_redirects=True, timeout=30) as client:
            found = client.get(link)
            assert found.status_code == 200, found.text
            client.base_url = found.url.copy_with(path="/", query=None, fragment=None)
            yield client
    finally:
        server.stop()


def test_its_console_has_its_pages_styles_and_programs(console: httpx.Client) -> None:
    page = console.get("/")
    assert page.status_code == 200
    linked = set(re.findall(r'(?:href|src)="(/?[^"?#]*/static/[^"?#]+)', page.text))
    assert len(linked) >= 3
    for each in linked:
        assert console.get(each).status_code == 200, each
