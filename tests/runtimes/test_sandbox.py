"""Which sandbox there is, and what is said of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnout.core.errors import PermanentError
from turnout.runtimes import sandbox as module
from turnout.runtimes.sandbox import (
    InvalidSpec,
    Mount,
    NoSandbox,
    SandboxMissing,
    SandboxSpec,
    detect,
    sweep_private,
)
from turnout.runtimes.sandbox_spec import MINIMAL_PATH, tool_env

NO_GROUPS = {"TURNOUT_CGROUP": "none"}


@pytest.fixture(autouse=True)
def not_found_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_found", {})


@pytest.fixture
def broken_bubblewrap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A program that says it is bubblewrap, and cannot do what it should: as in a container that forbids it.

    Not below /tmp, where root's sandbox shows something else.
    """
    folder = Path(tempfile.mkdtemp(prefix="turnout-test-", dir="/var/tmp"))
    folder.chmod(0o755)
    program = folder / "bwrap"
    program.write_text(
        '#!/bin/sh\n[ "$1" = --version ] && echo bubblewrap 0.8.0 && exit\n'
        'echo "bwrap: setting up uid map: Permission denied" >&2\nexit 1\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    yield program
    shutil.rmtree(folder)


def test_it_can_be_switched_off_and_says_so_loudly() -> None:
    sandbox = detect(environ={**NO_GROUPS, "TURNOUT_SANDBOX": "none"})
    assert sandbox.name == "none"
    assert sandbox.describe().startswith(  # a container that holds all of it in is told after that
        "no sandbox: it is switched off (TURNOUT_SANDBOX=none); tools run as this user, with its files "
        "and its network; memory limited only per process: cgroups are switched off"
    )


def test_one_that_is_not_installed_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    assert "bubblewrap is not installed: install bubblewrap (apt-get install bubblewrap" in (
        detect(environ=NO_GROUPS).describe()
    )


@pytest.mark.usefixtures("broken_bubblewrap")
def test_one_that_does_not_work_here_is_not_used_and_its_own_words_are_told() -> None:
    sandbox = detect(environ=NO_GROUPS)
    assert sandbox.name == "none"
    assert "setting up uid map: Permission denied" in sandbox.describe()
    assert "kernel.apparmor_restrict_unprivileged_userns=0" in sandbox.describe()


def test_one_that_is_too_old_is_not_used(broken_bubblewrap: Path) -> None:
    broken_bubblewrap.write_text("#!/bin/sh\necho bubblewrap 0.4.1\n")
    assert "bubblewrap 0.4.1 is too old: 0.5 is needed" in detect(environ=NO_GROUPS).describe()


@pytest.mark.usefixtures("broken_bubblewrap")
@pytest.mark.parametrize(("require", "choice"), [(True, "auto"), (False, "require")])
def test_one_that_is_required_and_missing_is_an_error(require: bool, choice: str) -> None:
    with pytest.raises(SandboxMissing, match=r"apt-get install bubblewrap"):
        detect(require, environ={**NO_GROUPS, "TURNOUT_SANDBOX": choice})


def test_it_is_tried_once_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    first = detect(environ=NO_GROUPS)
    monkeypatch.setattr(module, "_find", lambda *_: pytest.fail("tried again"))
    assert detect(environ=NO_GROUPS) is first


@pytest.mark.parametrize(
    "environ", [{"TURNOUT_SANDBOX": "docker"}, {"TURNOUT_SANDBOX_UID": "0"}, {"TURNOUT_SANDBOX_UID": "me"}]
)
def test_a_setting_that_cannot_be_is_an_error(environ: dict[str, str]) -> None:
    with pytest.raises(PermanentError, match=next(iter(environ))):
        detect(environ=environ)


def test_a_mount_elsewhere_needs_a_sandbox(tmp_path: Path) -> None:
    none = NoSandbox("this is a test", None)
    with pytest.raises(InvalidSpec, match="there is no sandbox"):
        none.wrap(["true"], SandboxSpec(tmp_path, mounts=(Mount(tmp_path, "/cache"),)))
    assert none.wrap(["true"], SandboxSpec(tmp_path, mounts=(Mount(tmp_path),))).argv == ("true",)


def test_without_a_sandbox_programs_are_found_on_the_tools_path(tmp_path: Path) -> None:
    none = NoSandbox("this is a test", None)
    (tmp_path / "mytool").write_text("#!/bin/sh\n")
    (tmp_path / "mytool").chmod(0o755)
    assert none.which("sh", SandboxSpec(tmp_path)) in ("/usr/bin/sh", "/bin/sh")
    assert none.which("mytool", SandboxSpec(tmp_path)) is None
    assert none.which("./mytool", SandboxSpec(tmp_path)) == str(tmp_path / "mytool")
    assert none.which("./missing", SandboxSpec(tmp_path)) is None
    assert none.which("mytool", SandboxSpec(tmp_path, env={"PATH": str(tmp_path)})) == str(
        tmp_path / "mytool"
    )


def test_the_environment_is_small_and_what_is_given_wins(tmp_path: Path) -> None:
    env = tool_env(SandboxSpec(tmp_path, env={"LANG": "de_DE.UTF-8", "A": "1"}), "/home", "/tmp")
    assert env["PATH"] == MINIMAL_PATH
    assert (env["HOME"], env["LANG"], env["A"]) == ("/home", "de_DE.UTF-8", "1")


def test_git_accepts_the_workspace_besides_the_configuration_it_is_given(tmp_path: Path) -> None:
    given = {"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "user.name", "GIT_CONFIG_VALUE_0": "A"}
    env = tool_env(SandboxSpec(tmp_path, env=given), "/home", "/tmp")
    assert env["GIT_CONFIG_COUNT"] == "2"
    assert (env["GIT_CONFIG_KEY_0"], env["GIT_CONFIG_KEY_1"]) == ("user.name", "safe.directory")


def test_private_folders_of_killed_processes_are_swept_and_others_are_kept(tmp_path: Path) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    for name in (f"turnout-tool-{ended.pid}-ab", f"turnout-tool-{os.getpid()}-ab", "turnout-tool-me-ab"):
        (tmp_path / name / "home").mkdir(parents=True)
    sweep_private(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [f"turnout-tool-{os.getpid()}-ab", "turnout-tool-me-ab"]
    )
