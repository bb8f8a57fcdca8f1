"""A repository, a fork's pull request, and a dependency that mean harm: what they leave, and what they get at."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.script.agent import run as run_script
from agents.sdk.local_workspace import cache_of
from agents.sdk.toolchain import read_json
from agents.sdk.workspace import AgentError
from tests.adapters.repositories import commit, git, repository
from tests.agents.sdk.hosts import Bench
from tests.agents.sdk.hosts import bench as make_bench
from tests.agents.workspace import SandboxedWorkspace, sandboxed, task
from tests.real import require
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.mirror import Mirrors
from turnout.core.errors import PermanentError, TurnoutError
from turnout.core.model import Outcome
from turnout.runtimes.sandbox import Bubblewrap, detect

pytestmark = pytest.mark.real

ARTIFACTS = ["**/*", "../*", "/etc/passwd", "out/*"]


@pytest.fixture
def sandbox() -> Bubblewrap:
    found = detect()
    require("bubblewrap, working,", isinstance(found, Bubblewrap), f"make real-parts ({found.describe()})")
    assert isinstance(found, Bubblewrap)
    return found


@pytest.fixture(scope="module")
def bench(
    tmp_path_factory: pytest.TempPathFactory, origin: tuple[Path, str], session_home: None
) -> Iterator[Bench]:
    require("bubblewrap, working,", isinstance(detect(), Bubblewrap), "make real-parts")
    with make_bench(tmp_path_factory.mktemp("home"), *origin, sandbox="require") as made:
        yield made


def made_by(sandbox: Bubblewrap, folder: Path, script: str, **options: object) -> SandboxedWorkspace:
    """The workspace of a script stage, after a hostile script."""
    asked = task("script", {"run": script, **options})
    workspace = sandboxed(folder, asked, sandbox)
    run_script(asked, workspace)
    return workspace


# --- what it leaves to be collected ------------------------------------------------------------------------


def test_only_plain_files_of_the_checkout_become_artifacts(sandbox: Bubblewrap, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("theirs")
    script = (
        f"mkdir out; echo ours > out/plain; ln -s {tmp_path}/outside/secret out/soft; ln -s /etc/shadow out/shadow; "
        f"ln -s {tmp_path}/outside out/folder; mkfifo out/pipe; ln -s / out/root; ln -s . out/loop; "
        f"ln -s /proc/self/environ out/environ; ln -s /dev/zero out/zero"
    )
    workspace = made_by(sandbox, tmp_path / "attempt", script, artifacts=["out/*"])
    assert set(workspace.artifacts) == {"out/plain"}
    assert workspace.artifacts["out/plain"].read_text() == "ours\n"


def test_a_file_as_large_as_no_disk_is_not_read_into_memory(sandbox: Bubblewrap, tmp_path: Path) -> None:
    workspace = made_by(
        sandbox, tmp_path, "mkdir out; truncate -s 10G out/huge; echo x > out/small", artifacts=["out/*"]
    )
    assert set(workspace.artifacts) == {"out/small"}


@pytest.mark.parametrize("pattern", ["../*", "/etc/*", "out/../../*", "a/\0b"])
def test_a_pattern_that_leads_out_is_refused_before_anything_runs(
    sandbox: Bubblewrap, tmp_path: Path, pattern: str
) -> None:
    with pytest.raises(TurnoutError):
        made_by(sandbox, tmp_path, "touch ran", artifacts=[pattern])
    assert not (tmp_path / "checkout" / "ran").exists()


@pytest.mark.parametrize(
    "name", ["../x", "/etc/cron.d/x", "a/../../x", "a//b", "a/./b", "", "x\0y", "a/" + "b" * 300]
)
def test_no_name_of_an_artifact_leads_elsewhere(sandbox: Bubblewrap, tmp_path: Path, name: str) -> None:
    workspace = sandboxed(tmp_path / "attempt", task("script"), sandbox)
    with pytest.raises(AgentError):
        workspace.artifact(name, b"content")
    store = FileArtifacts(tmp_path / "store")
    with pytest.raises(PermanentError):
        store.put(f"runs/r/t/1/{name}", b"content")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_store_of_artifacts_follows_no_link_that_was_put_into_it(tmp_path: Path) -> None:
    """Nothing of a tool's ever is: tools do not see the folder. It is listed as what it is all the same."""
    store = FileArtifacts(tmp_path / "store")
    store.put("runs/r/1/log.txt", b"x")
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret").write_text("theirs")
    (tmp_path / "store" / "runs" / "link").symlink_to(tmp_path / "outside")
    assert list(store.list("runs/")) == ["runs/r/1/log.txt"]


def test_outputs_are_read_from_the_file_that_was_given_and_no_other(
    sandbox: Bubblewrap, tmp_path: Path
) -> None:
    asked = task("script", {"run": 'rm "$TURNOUT_OUTPUT"; ln -s /etc/shadow "$TURNOUT_OUTPUT"'})
    result = run_script(asked, sandboxed(tmp_path, asked, sandbox))
    assert result.outcome is Outcome.FAILURE
    assert "leads out of" in result.reason
    assert result.outputs == {}


def test_a_pipe_in_place_of_a_report_keeps_nobody_waiting(sandbox: Bubblewrap, tmp_path: Path) -> None:
    asked = task("script", {"run": 'rm "$TURNOUT_OUTPUT"; mkfifo "$TURNOUT_OUTPUT"'})
    result = run_script(asked, sandboxed(tmp_path, asked, sandbox))
    assert result.outputs == {}


@pytest.mark.parametrize(
    "content", [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000, b"\xff\xfe", b"NaN", b""]
)
def test_a_report_that_is_made_to_break_its_reader_is_no_report(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "report.json").write_bytes(content)
    found = read_json(tmp_path, "report.json")
    assert found is None or found != found or isinstance(found, float)


def test_what_it_left_however_deep_or_locked_is_removed_with_the_attempt(bench: Bench) -> None:
    from agents.sdk.orphans import remove_folder

    script = (
        "for n in $(seq 400); do mkdir d && cd d || break; done; touch file; cd /; "
        "mkdir -p $TMPDIR/x; mkdir locked; touch locked/file; chmod 0 locked"
    )
    asked = bench.task("shell", task="deep", options={"run": script})
    hosted = bench.host.begin(asked)
    hosted.run()
    remove_folder(hosted.folder)
    assert not hosted.folder.exists()


# --- what git makes of it --------------------------------------------------------------------------------------


def test_a_checkout_runs_nothing_of_the_repository(tmp_path: Path) -> None:
    """Hooks, filters, textconv, fsmonitor, submodules: a clone can bring none of our git to start them."""
    origin, mark = tmp_path / "origin", tmp_path / "ran"
    repository(origin, a_dot_txt="x\n")
    (origin / ".gitattributes").write_text("* filter=evil diff=evil\n")
    (origin / ".gitconfig").write_text(
        f'[filter "evil"]\n smudge = touch {mark}\n[core]\n fsmonitor = touch {mark}\n'
    )
    (origin / ".gitmodules").write_text(
        f'[submodule "x"]\n path = x\n url = ext::touch {mark}\n update = !touch {mark}\n'
    )
    git(origin, "config", "filter.evil.smudge", f"touch {mark}")
    git(origin, "config", "uploadpack.packObjectsHook", f"touch {mark}; git pack-objects")
    hook = origin / ".git/hooks/post-checkout"
    hook.write_text(f"#!/bin/sh\ntouch {mark}\n")
    hook.chmod(0o755)
    sha = commit(origin, b_dot_txt="y\n")
    mirror = Mirrors(tmp_path / "home").of(str(origin))
    mirror.ensure(sha)
    mirror.checkout(sha, tmp_path / "tree")
    assert (tmp_path / "tree" / "b.txt").read_text() == "y\n"
    assert not mark.exists()
    assert not list((tmp_path / "tree/.git").glob("hooks/*"))


def test_a_link_in_the_repository_lets_no_checkout_write_elsewhere(tmp_path: Path) -> None:
    origin, outside = tmp_path / "origin", tmp_path / "outside"
    outside.mkdir()
    repository(origin, a_dot_txt="x\n")
    (origin / "folder").symlink_to(outside)
    sha = commit(origin)
    mirror = Mirrors(tmp_path / "home").of(str(origin))
    mirror.ensure(sha)
    mirror.checkout(sha, tmp_path / "tree")
    assert (tmp_path / "tree/folder").is_symlink()
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("url", ["ext::sh -c x", "-uevil", "--upload-pack=x", "fd::1", "ftp://h/x", "x\n"])
def test_an_address_that_is_a_command_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(PermanentError):
        Mirrors(tmp_path).of(url)


# --- a pull request from a fork ----------------------------------------------------------------------------------


def test_a_forks_tools_get_no_secret_whatever_the_task_says(bench: Bench) -> None:
    result = bench.run("capture", task="fork", trusted=False, secrets=("TOKEN",), options={"run": "env"})
    assert "TOKEN" not in result.outputs["stdout"]
    trusted = bench.run("shell", task="trusted", secrets=("TOKEN",), options={"run": 'test -n "$TOKEN"'})
    assert trusted.exit_code == 0


def test_what_a_fork_leaves_in_its_cache_reaches_no_trusted_attempt(bench: Bench) -> None:
    poisoned = bench.run("caches", task="poison", trusted=False)
    assert poisoned.outputs["writable"] == "ok"
    fork, ours = (
        cache_of(bench.home, bench.task("caches", trusted=each), bench.home) for each in (False, True)
    )
    assert (fork / "kept").exists()
    assert not (ours / "kept").exists()
    script = f"ls {fork} 2>&1; ls {ours.parent}"
    seen = bench.run("capture", task="look", options={"run": script}).outputs["stdout"]
    assert "No such file" in seen
    assert seen.split()[-1] == ours.name


def test_forks_share_one_cache_among_themselves(bench: Bench) -> None:
    """NOT stopped: one fork's installed dependencies are used by the next one's attempts. They are as untrusted."""
    places = {
        cache_of(bench.home, bench.task("caches", task=name, trusted=False), bench.home) for name in "ab"
    }
    assert len(places) == 1


# --- a dependency -------------------------------------------------------------------------------------------------


def test_code_that_runs_while_it_is_installed_sees_no_secret_and_changes_nothing_but_cache_and_checkout(
    sandbox: Bubblewrap, tmp_path: Path
) -> None:
    workspace = sandboxed(tmp_path, task("test"), sandbox)
    workspace.secrets = {"TOKEN": "hunter2hunter2"}
    (tmp_path / "neighbour").write_text("theirs")
    script = (
        "env; cat /proc/*/environ | tr '\\0' '\\n'; ls ..; echo x >> ../neighbour; echo x > /usr/lib/evil; "
        "echo x > ~/.profile; (setsid sleep 100 &)"
    )
    ran = workspace.run(["sh", "-c", script], network=True, writable_cache=True, capture=True)
    said = ran.stdout.decode() + workspace.text
    assert "hunter2" not in said
    assert (tmp_path / "neighbour").read_text() == "theirs"
    assert not Path("/usr/lib/evil").exists()
    with_them = workspace.run(["sh", "-c", "echo $TOKEN"], capture=True)
    assert with_them.stdout == b"hunter2hunter2\n", "a stage's own tools have them"


def test_an_installer_can_change_what_other_attempts_of_the_project_will_use(
    sandbox: Bubblewrap, tmp_path: Path
) -> None:
    """NOT stopped: branches of one repository trust each other. `cache: {dependencies: false}` keeps them apart."""
    workspace = sandboxed(tmp_path, task("test"), sandbox)
    entry = workspace.cache / "python" / "entry"
    entry.mkdir(parents=True)
    (entry / "site.py").write_text("good")
    script = f"mv {workspace.cache}/python {workspace.cache}/gone && mkdir {workspace.cache}/python"
    workspace.run(["sh", "-c", script], network=True, writable_cache=True)
    assert not entry.exists()
    apart = task("test", env={"TURNOUT_DEPENDENCY_CACHE": "off"})
    assert cache_of(tmp_path, apart, tmp_path / "a") != cache_of(tmp_path, apart, tmp_path / "b")


def test_no_tool_of_these_tests_is_left(bench: Bench) -> None:
    assert shutil.which("bwrap")
    left = [pid for pid in os.listdir("/proc") if pid.isdecimal() and b"sleep\x00100\x00" in _command(pid)]
    assert left == []


def _command(pid: str) -> bytes:
    try:
        return Path("/proc", pid, "cmdline").read_bytes()
    except OSError:
        return b""
