"""What bubblewrap's sandbox really holds in, tried by hostile tools."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.real import require
from tests.runtimes.watching import living, unique_seconds
from tests.waiting import wait_until
from turnout.runtimes.keepers import LIBRARY
from turnout.runtimes.sandbox import (
    Bubblewrap,
    Exit,
    Limits,
    Mount,
    SandboxSpec,
    ToolNotStarted,
    detect,
    start,
)

pytestmark = pytest.mark.real

PYTHON = str(Path(sys.base_prefix, "bin", f"python3.{sys.version_info.minor}").resolve())
MB = 1 << 20
Run = Callable[..., tuple[Exit, str]]


@pytest.fixture
def sandbox() -> Bubblewrap:
    found = detect(environ={name: os.environ[name] for name in ("TURNOUT_CGROUP",) if name in os.environ})
    how = f"apt-get install bubblewrap ({found.describe()})"
    require("bubblewrap, working,", isinstance(found, Bubblewrap), how)
    assert isinstance(found, Bubblewrap)
    return found


@pytest.fixture
def limited(sandbox: Bubblewrap) -> Bubblewrap:
    require(
        "a writable cgroup", sandbox.cgroups is not None, "run the tests as root, or in a delegated cgroup"
    )
    return sandbox


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    folder = tmp_path / "workspace"
    folder.mkdir()
    return folder


@pytest.fixture
def run(sandbox: Bubblewrap, workspace: Path) -> Run:
    def run(
        *argv: str, within: Bubblewrap = sandbox, timeout: float = 60.0, **spec: object
    ) -> tuple[Exit, str]:
        asked = replace(SandboxSpec(workspace), **spec)  # type: ignore[arg-type]
        with start(argv, asked, within, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as tool:
            assert tool.stdout is not None
            output = tool.stdout.read().decode("utf-8", "replace")
            return tool.wait(timeout), output

    return run


def sh(script: str) -> list[str]:
    return ["sh", "-c", script]


def python(script: str, *arguments: str) -> list[str]:
    return [PYTHON, "-I", "-S", "-c", script, *arguments]


def test_exit_codes_pass_through(run: Run) -> None:
    assert [run(*sh(f"exit {code}"))[0] for code in (0, 3, 129, 255)] == [
        Exit(code=0),
        Exit(code=3),
        Exit(code=129),
        Exit(code=255),
    ]


def test_signals_pass_through(run: Run) -> None:
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        assert run(*sh(f"kill -{int(number)} $$"))[0] == Exit(code=None, signal=number)


def test_a_missing_program_ends_as_in_a_shell(run: Run) -> None:
    ended, output = run("no-such-program")
    assert ended.code == 127
    assert "no-such-program" in output


def test_a_sandbox_that_cannot_be_set_up_is_no_result(sandbox: Bubblewrap, workspace: Path) -> None:
    """A folder of the system vanished after it was looked for."""
    host = replace(sandbox.host, etc=("vanished",))
    with (
        start(["true"], SandboxSpec(workspace), replace(sandbox, host=host), stderr=subprocess.PIPE) as tool,
        pytest.raises(ToolNotStarted, match="could not set up the sandbox"),
    ):
        tool.wait(20)


def test_there_is_no_network_but_its_own_loopback(run: Run) -> None:
    script = (
        "import socket\n"
        "server = socket.create_server(('127.0.0.1', 0))\n"
        "socket.create_connection(server.getsockname()).close()\n"
        "print('loopback works')\n"
        "socket.create_connection(('192.0.2.1', 80), 5)"
    )
    ended, output = run(*python(script))
    assert "loopback works" in output
    assert "Network is unreachable" in output
    assert ended.code == 1


def test_the_services_of_this_machine_are_out_of_reach_unless_its_network_is_shared(
    run: Run, sandbox: Bubblewrap
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        connect = python(
            f"import socket; socket.create_connection(('127.0.0.1', {server.getsockname()[1]}), 5)"
        )
        refused, output = run(*connect)
        assert (refused.code, "Connection refused" in output) == (1, True)
        with_the_machines = replace(sandbox, network="")
        assert run(*connect, within=with_the_machines, network=True)[0].code == 0


def test_the_files_of_this_machine_are_not_there(run: Run, tmp_path: Path, turnout_home: Path) -> None:
    (turnout_home / "turnout.db").write_text("secret")
    other = tmp_path / "other-workspace"
    other.mkdir()
    for path in (
        turnout_home,
        other,
        Path.home() / ".ssh",
        Path("/etc/shadow"),
        Path("/var/log"),
        Path("/sys"),
    ):
        ended, _ = run("test", "-e", str(path))
        assert ended.code == 1, path


def test_only_what_leads_to_the_workspace_is_seen_of_its_parents(run: Run, workspace: Path) -> None:
    (workspace.parent / "neighbour").write_text("secret")
    assert run("ls", str(workspace.parent))[1].split() == ["workspace"]


def test_what_is_hidden_in_the_workspace_cannot_be_read(run: Run, workspace: Path) -> None:
    (workspace / "home").mkdir()
    (workspace / "home" / "key").write_text("secret")
    (workspace / "token").write_text("secret")
    hide = (workspace / "home", workspace / "token")
    assert "secret" not in run(*sh("cat token; cat home/key; ls home"), hide=hide)[1]
    assert run(*sh("echo x > home/key"), hide=hide)[0].code != 0


def test_a_link_out_of_the_workspace_leads_nowhere(run: Run, workspace: Path) -> None:
    secret = workspace.parent / "secret"
    secret.write_text("secret")
    (workspace / "link").symlink_to(secret)
    ended, output = run("cat", "link")
    assert ended.code == 1
    assert "No such file" in output


@pytest.mark.parametrize(
    "place", ["/usr", "/etc", "/", "/bin", "/var", "/proc/sys/kernel", "{prefix}", "{parent}"]
)
def test_nothing_outside_the_workspace_can_be_written(run: Run, workspace: Path, place: str) -> None:
    folder = place.format(prefix=sys.base_prefix, parent=workspace.parent)
    ended, _ = run("touch", f"{folder}/written")
    assert not Path(folder, "written").exists()
    assert ended.code == 1 or folder.startswith("/tmp/"), "it looks as if it was written"


def test_the_workspace_can_be_written_and_its_files_can_be_removed_by_us(run: Run, workspace: Path) -> None:
    (workspace / "made-by-us").write_text("1")
    assert run(*sh("echo 2 > made-by-us && mkdir deep && echo 3 > deep/file"))[0].code == 0
    assert (workspace / "made-by-us").read_text() == "2\n"
    shutil.rmtree(workspace)


def test_temporary_files_are_private_and_gone_afterwards(run: Run) -> None:
    name = f"/tmp/turnout-{unique_seconds()}"
    assert run(*sh(f"touch {name} ~/file /var/tmp/file /dev/shm/file && ls /tmp"))[0].code == 0
    assert not Path(name).exists()
    assert Path(name).name not in run("ls", "/tmp")[1]


def test_the_process_list_is_private(run: Run) -> None:
    with subprocess.Popen(["sleep", unique := unique_seconds()]) as visible:
        commands = run(*sh("cat /proc/[0-9]*/cmdline"))[1]
        listed = run("ls", "/proc")[1].split()
        visible.kill()
    assert unique not in commands
    assert sum(name.isdecimal() for name in listed) < 5


def test_nothing_of_our_environment_is_visible_in_any_process(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_SLACK_TOKEN", "xoxb-secret")
    environment = run(*sh("env; cat /proc/*/environ | tr '\\0' '\\n'"), env={"MINE": "1"})[1]
    assert "MINE=1" in environment
    assert "xoxb-secret" not in environment
    names = {line.split("=")[0] for line in environment.splitlines() if "=" in line}
    assert names <= {
        *("MINE", "PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME", "PWD", "OLDPWD", "SHLVL", "_"),
        *("GIT_CONFIG_COUNT", "GIT_CONFIG_KEY_0", "GIT_CONFIG_VALUE_0"),
    }


def test_names_that_a_shell_would_drop_reach_the_tool(run: Run) -> None:
    assert "INPUT_MY-NAME=1" in run("env", env={"INPUT_MY-NAME": "1"})[1]


def test_the_environment_of_the_tool_is_on_no_command_line(sandbox: Bubblewrap, workspace: Path) -> None:
    seconds = unique_seconds()
    spec = SandboxSpec(workspace, env={"TOKEN": "token-secret"})
    with start(["sleep", seconds], spec, sandbox) as tool:
        wait_until(lambda: len(living(seconds)) >= 2)
        for pid in (tool.pid, *living(seconds)):
            assert b"token-secret" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_a_library_to_preload_is_never_loaded_outside_the_sandbox(run: Run, workspace: Path) -> None:
    """The loader complains in every program that it cannot load the library into: here, only inside."""
    _, output = run("/bin/true", env={"LD_PRELOAD": str(workspace / "missing.so")})
    assert 1 <= output.count("missing.so") <= 2  # env(1), then the tool


def test_no_other_open_file_reaches_the_tool(run: Run, workspace: Path) -> None:
    with (workspace / "held").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        assert run("ls", "/proc/self/fd")[1].split() == ["0", "1", "2", "3"]  # 3: the folder that ls reads


def test_the_tool_is_nobody_special(run: Run) -> None:
    status = run("cat", "/proc/self/status")[1]
    lines = dict(line.split(":", 1) for line in status.splitlines())
    assert {int(lines[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {0}
    assert lines["NoNewPrivs"].strip() == "1"
    assert lines["Seccomp"].strip() == "2"
    assert "0" not in lines["Uid"].split()
    assert run("id", "-un")[1].strip() == "turnout"


def test_no_further_namespace_can_be_made(run: Run) -> None:
    assert run("unshare", "--user", "true")[0].code != 0
    by_clone = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True); "
        "pid = libc.syscall(int(sys.argv[1]), 0x10000000 | 17, 0, 0, 0, 0); "
        "print('refused' if pid < 0 and ctypes.get_errno() in (1, 38) else 'made')"
    )
    clone = {"x86_64": "56", "aarch64": "220"}[os.uname().machine]
    for number in (clone, "435"):
        assert run(*python(by_clone, number))[1].splitlines() == ["refused"]


def test_dangerous_system_calls_are_refused(run: Run) -> None:
    bpf, keyctl, userfaultfd, io_uring = {
        "x86_64": (321, 250, 323, 425),
        "aarch64": (280, 219, 282, 425),
    }[os.uname().machine]
    script = (
        "import ctypes, sys; libc = ctypes.CDLL(None, use_errno=True)\n"
        "for number in sys.argv[1:]:\n"
        "    print(libc.syscall(int(number), 0, 0, 0, 0, 0), ctypes.get_errno())"
    )
    numbers = [str(number) for number in (bpf, keyctl, userfaultfd, io_uring)]
    assert run(*python(script, *numbers))[1].splitlines() == ["-1 1"] * 4


def test_everyday_tools_work(run: Run) -> None:
    everyday = (
        f"{PYTHON} -c 'import ssl, sqlite3, threading, tempfile; tempfile.TemporaryFile()' && "
        f"{PYTHON} -c 'import multiprocessing as m; m.Pool(2).map(str, [1]); m.Lock()' && "
        "git init -q . && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x && git log --oneline && "
        "echo 'int x;' | sort > /dev/null && getent hosts localhost && test -w /dev/null && date +%Z"
    )
    ended, output = run(*sh(everyday))
    assert ended.code == 0, output


def test_git_works_in_a_repository_that_we_made(run: Run, workspace: Path) -> None:
    subprocess.run(["git", "init", "-q", str(workspace)], check=True)
    ended, output = run("git", "status", "--porcelain")
    assert ended.code == 0, output


def test_a_cache_is_writable_only_if_it_is_said_so(run: Run, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    assert run("touch", f"{cache}/a", mounts=(Mount(cache, writable=True),))[0].code == 0
    assert run("touch", f"{cache}/b", mounts=(Mount(cache),))[0].code == 1
    assert run("ls", "/cache", mounts=(Mount(cache, "/cache"),))[1].split() == ["a"]
    assert (
        run("cat", "/file", mounts=(Mount(Path("/etc/passwd"), "/file"),))[1]
        == Path("/etc/passwd").read_text()
    )


def test_a_fork_bomb_meets_the_process_limit(run: Run, limited: Bubblewrap) -> None:
    bomb = (
        "import os, time\n"
        "made = 0\n"
        "while True:\n"
        "    try:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(60)\n"
        "        made += 1\n"
        "    except BlockingIOError:\n"
        "        print(made, flush=True)\n"
        "        os._exit(9)\n"
    )
    ended, output = run(*python(bomb), within=limited, limits=Limits(pids=20))
    assert ended == Exit(code=9)
    assert 15 <= int(output) <= 20


def test_multiplying_processes_end_with_their_tool(limited: Bubblewrap, workspace: Path) -> None:
    name = unique_seconds()
    bomb = python("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n", name)
    with start(bomb, SandboxSpec(workspace, limits=Limits(pids=60, cpus=0.5)), limited) as tool:
        wait_until(lambda: len(living(name)) > 30, timeout=60)
        tool.terminate(grace=0.1)
        assert tool.wait().survivors == ()
    assert not living(name)


def test_too_much_memory_is_an_out_of_memory_kill(run: Run, limited: Bubblewrap) -> None:
    eat = python("x = bytearray(400_000_000)\nprint('survived')")
    ended, output = run(*eat, within=limited, limits=Limits(memory_bytes=64 * MB))
    assert ended == Exit(code=None, signal=signal.SIGKILL, oom_killed=True)
    assert "survived" not in output
    assert run(*eat, within=limited, limits=Limits(memory_bytes=600 * MB))[0] == Exit(code=0)


def test_the_temporary_folder_cannot_be_used_to_get_around_the_memory_limit(
    run: Run, limited: Bubblewrap
) -> None:
    fill = "head -c 200M /dev/zero > {}/file"
    limits = Limits(memory_bytes=64 * MB)
    ended, output = run(*sh(fill.format("/tmp")), within=limited, limits=limits)
    assert ended.code == 1
    assert "No space left" in output
    ended, _ = run(*sh(fill.format("/dev/shm")), within=limited, limits=limits)
    assert ended.oom_killed


def test_a_child_that_is_killed_for_its_memory_is_told_although_the_tool_goes_on(
    run: Run, limited: Bubblewrap
) -> None:
    ended, _ = run(
        *sh(f"{PYTHON} -I -S -c 'bytearray(400_000_000)'; exit 5"),
        within=limited,
        limits=Limits(memory_bytes=64 * MB),
    )
    assert ended == Exit(code=5, oom_killed=True)


def test_without_cgroups_processes_and_memory_are_limited_as_far_as_can_be(
    run: Run, sandbox: Bubblewrap
) -> None:
    weak = replace(sandbox, cgroups=None, no_cgroups="this is a test")
    require("prlimit and Linux 5.14", sandbox.host.prlimit is not None, "apt-get install util-linux")
    forks = python(
        "import os, time\n"
        "for made in range(100):\n"
        "    try: pid = os.fork()\n"
        "    except BlockingIOError: print(made, flush=True); os._exit(0)\n"
        "    if pid == 0: time.sleep(60)\n"
    )
    ended, output = run(*forks, within=weak, limits=Limits(pids=20))
    assert (ended.code, 15 <= int(output) <= 25) == (0, True)
    assert (
        "MemoryError"
        in run(*python("bytearray(300_000_000)"), within=weak, limits=Limits(memory_bytes=100 * MB))[1]
    )


@pytest.mark.parametrize("groups", [True, False])
def test_a_daemon_dies_with_its_tool(sandbox: Bubblewrap, workspace: Path, groups: bool) -> None:
    within = sandbox if groups else replace(sandbox, cgroups=None)
    seconds = unique_seconds()
    script = f"(setsid sh -c 'sleep {seconds} &' &) ; touch started"
    with start(sh(script), SandboxSpec(workspace), within) as tool:
        assert tool.wait(20) == Exit(code=0)
    assert (workspace / "started").exists()
    assert not living(seconds)


@pytest.mark.parametrize("groups", [True, False])
def test_a_tool_may_use_its_grace_and_is_killed_after_it(
    sandbox: Bubblewrap, workspace: Path, groups: bool
) -> None:
    within = sandbox if groups else replace(sandbox, cgroups=None)
    tidy = "trap 'echo bye > tidied; exit 7' TERM; touch ready; while :; do sleep 0.01; done"
    with start(sh(tidy), SandboxSpec(workspace), within) as tool:
        wait_until((workspace / "ready").exists, timeout=60)
        tool.terminate(grace=30)
        assert tool.wait() == Exit(code=7)
    assert (workspace / "tidied").exists()
    seconds = unique_seconds()
    stubborn = f"trap '' TERM; touch ready2; setsid sleep {seconds}; while :; do sleep 0.01; done"
    with start(sh(stubborn), SandboxSpec(workspace), within) as tool:
        wait_until((workspace / "ready2").exists, timeout=60)
        assert tool.wait(0.05, grace=0.1) == Exit(code=None, signal=signal.SIGKILL, timed_out=True)
    assert not living(seconds)


RUNNER = """
import sys, time
from pathlib import Path
from turnout.runtimes.sandbox import SandboxSpec, detect, start
tool = start(["sleep", sys.argv[2]], SandboxSpec(Path(sys.argv[1])), detect(require=True))
time.sleep(60)
"""


def test_the_tool_and_its_group_go_when_whoever_started_it_is_killed(
    sandbox: Bubblewrap, workspace: Path
) -> None:
    seconds = unique_seconds()
    environ = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(workspace), seconds], env=environ) as runner:
        wait_until(lambda: len(living(seconds)) >= 2, timeout=30)
        runner.kill()
    wait_until(lambda: not living(seconds))
    parents = set(sandbox.cgroups.parents.values()) if sandbox.cgroups else set()
    wait_until(lambda: not any([*parent.glob(f"turnout-{runner.pid}-*")] for parent in parents))


def test_nothing_is_left_of_a_tool(run: Run, limited: Bubblewrap) -> None:
    assert limited.cgroups is not None
    assert run("true", within=limited)[0].code == 0
    for parent in set(limited.cgroups.parents.values()):
        assert list(parent.glob(f"turnout-{os.getpid()}-*")) == []


def test_starting_a_tool_costs_tens_of_milliseconds(run: Run) -> None:
    """Of processor time, which does not depend on what else this machine does."""

    def spent() -> float:
        parts = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        return sum(part.ru_utime + part.ru_stime for part in parts)

    run("true")
    before = spent()
    for _ in range(10):
        assert run("true", limits=Limits(pids=50))[0].code == 0
    assert (spent() - before) / 10 < 0.1


def test_mounts_that_a_tool_is_shown_nothing_of_are_let_go_of_and_those_below_what_it_is_shown_are_there(
    tmp_path: Path,
) -> None:
    require("the right to mount", os.geteuid() == 0, "run the tests as root")
    script = f"""
import os, sys
from pathlib import Path
from turnout.runtimes.sandbox_child import CLONE_NEWNS, MS_PRIVATE, MS_REC, call, forget
base = Path({str(tmp_path)!r})
call("unshare", CLONE_NEWNS)
call("mount", None, b"/", None, MS_REC | MS_PRIVATE, None)
for name in ("shown", "shown/below", "other", "other/below", "with a space", "oth"):
    (base / name).mkdir()
    call("mount", b"tmpfs", bytes(base / name), b"tmpfs", 0, None)
forget(["/usr", "/proc", str(base / "shown/deep"), str(base / "oth")])
points = [line.split()[4] for line in open("/proc/self/mountinfo")]
print([point.removeprefix(str(base)) for point in points if point.startswith(str(base))])
print("/" in points, "/proc" in points)
"""
    said = subprocess.run(
        [sys.executable, "-c", script],
        env={"PYTHONPATH": str(LIBRARY)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.splitlines() == ["['/shown', '/with\\\\040a\\\\040space', '/oth']", "True True"]
