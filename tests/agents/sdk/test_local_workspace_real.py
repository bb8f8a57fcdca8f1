"""The workspace with a real sandbox."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.adapters.repositories import commit, git, repository
from tests.agents.sdk.hosts import Bench
from tests.agents.sdk.hosts import bench as make_bench
from tests.agents.sdk.test_hosting import DAEMON, Running, processes
from tests.real import require
from tests.waiting import wait_until
from turnout.core.model import Outcome
from turnout.runtimes.sandbox import Bubblewrap, detect

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def fenced(
    origin: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory, session_home: None
) -> Iterator[Bench]:
    works = shutil.which("bwrap") is not None and isinstance(detect(), Bubblewrap)
    require("bubblewrap", works, "apt-get install bubblewrap")
    with make_bench(tmp_path_factory.mktemp("home"), *origin, sandbox="require") as made:
        yield made


def output(bench: Bench, task: str, script: str, **more: object) -> str:
    result = bench.run("capture", task=task, options={"run": script}, **more)
    assert result.outcome is Outcome.SUCCESS, result.reason
    return result.outputs["stdout"]


def test_a_tool_sees_its_checkout_and_nothing_of_turnout(fenced: Bench) -> None:
    script = f"ls; cat a.py; ls {fenced.home} 2>&1; ls {fenced.home}/claims 2>&1; id -u; touch here"
    out = output(fenced, "sees", script)
    assert out.startswith("a.py\nsrc\na = 1\n")
    assert "claims: No such file" in out or "cannot access" in out
    assert "spool" not in out
    assert "task.json" not in output(fenced, "above", "ls ..")
    if os.geteuid() == 0:
        assert "\n0\n" not in out


def test_the_repository_can_be_asked_from_inside(fenced: Bench, tmp_path: Path) -> None:
    origin = tmp_path / "tagged"
    repository(origin)
    git(origin, "tag", "v1.0")
    sha = commit(origin, more_dot_txt="more\n")
    out = output(
        fenced,
        "git",
        "git describe --tags; git log --oneline | wc -l; git status --porcelain",
        checkout={"clone_url": str(origin), "sha": sha},
    )
    assert out == f"v1.0-1-g{sha[:7]}\n2\n"


def test_the_cache_can_be_written_only_when_the_agent_says_so_and_the_scratch_always(fenced: Bench) -> None:
    result = fenced.run("caches", task="caches")
    assert result.outputs == {"read-only": "failed", "writable": "ok", "seen later": "kept", "scratch": "ok"}


def test_the_network_is_there_only_when_the_task_asks(fenced: Bench) -> None:
    def interfaces(listing: str) -> list[str]:
        return [line.split(":")[0].strip() for line in listing.splitlines()[2:]]

    here = interfaces(Path("/proc/net/dev").read_text())
    assert interfaces(output(fenced, "offline", "cat /proc/net/dev")) == ["lo"]
    found = detect()
    own = isinstance(found, Bubblewrap) and found.network
    online = interfaces(output(fenced, "online", "cat /proc/net/dev", network=True))
    assert online == (["lo", "tap0"] if own else here)


def test_what_a_sandboxed_tool_has_daemonised_ends_with_it(fenced: Bench) -> None:
    script = "(setsid sleep 4715.5 >/dev/null 2>&1 &); echo started"
    assert output(fenced, "daemon", script) == "started\n"
    wait_until(lambda: not processes("4715.5"))


def test_a_timeout_ends_everything_in_the_sandbox(fenced: Bench) -> None:
    script = DAEMON.format(mark="up", number="4716.6")
    result = fenced.run("shell", task="stubborn", timeout=1.5, options={"run": script})
    assert result.outcome is Outcome.TIMED_OUT
    wait_until(lambda: not processes("4716.6"))


def test_a_cancelled_attempt_ends_its_sandbox(fenced: Bench) -> None:
    running = Running(fenced, fenced.task("shell", task="cancel", options={"run": "echo up; sleep 4717.7"}))
    wait_until(lambda: processes("4717.7"))
    began = time.monotonic()
    running.hosted.stop("cancelled", "enough")
    assert running.result().result.outcome is Outcome.CANCELLED
    assert time.monotonic() - began < 5
    wait_until(lambda: not processes("4717.7"))


def test_a_tool_that_runs_out_of_memory_is_told_apart(fenced: Bench) -> None:
    resources = {"memory": 64 * 1024 * 1024}
    script = "python3 -c 'x = bytearray(400_000_000)' || head -c 400000000 /dev/zero | tail > /dev/null"
    result = fenced.run("shell", task="hungry", resources=resources, options={"run": script})
    assert result.outcome is Outcome.FAILURE
    if detect().cgroups is not None:
        assert "out of memory" in fenced.log("hungry")


def test_the_attempts_folder_can_be_removed_whatever_a_tool_made_of_it(fenced: Bench) -> None:
    from agents.sdk.orphans import remove_folder

    script = "mkdir -p deep/er; echo x > deep/er/f; chmod 500 deep/er deep; mkdir locked; chmod 0 locked"
    task = fenced.task("shell", task="stubborn-files", options={"run": script})
    hosted = fenced.host.begin(task)
    assert hosted.run().result.outcome is Outcome.SUCCESS
    remove_folder(hosted.folder)
    assert not hosted.folder.exists()


def test_interpreters_of_pyenv_and_nvm_can_be_run_and_not_changed(
    origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, inner in (
        ("PYENV_ROOT", "versions/9.8.7/bin/python3"),
        ("NVM_DIR", "versions/node/v98.7.6/bin/node"),
    ):
        program = tmp_path / variable / inner
        program.parent.mkdir(parents=True)
        program.write_text(f"#!/bin/sh\necho {variable} runs\n")
        program.chmod(0o755)
        (tmp_path / variable / "secret").write_text("beside them")
        monkeypatch.setenv(variable, str(tmp_path / variable))
    script = (
        f"{tmp_path}/PYENV_ROOT/versions/9.8.7/bin/python3; {tmp_path}/NVM_DIR/versions/node/v98.7.6/bin/node; "
        f"touch {tmp_path}/NVM_DIR/versions/node/x 2>/dev/null || echo read-only; cat {tmp_path}/PYENV_ROOT/secret"
    )
    with make_bench(tmp_path / "home", *origin, sandbox="require") as fresh:
        result = fresh.run("capture", options={"run": f"{script} 2>/dev/null || true"})
    assert result.outputs["stdout"] == "PYENV_ROOT runs\nNVM_DIR runs\nread-only\n"
