"""What a tool reaches of this machine: files, other processes, the kernel. More of it, tried in the same way, is in
tests/runtimes/test_sandbox_real.py."""

from __future__ import annotations

import os
import pty
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.sdk.inside import read_inside
from agents.sdk.workspace import AgentError
from tests.adapters.repositories import repository
from tests.real import require
from tests.runtimes.watching import living, unique_seconds
from tests.security.conftest import PYTHON, Try
from tests.waiting import wait_until
from turnout.adapters.mirror import Mirrors
from turnout.runtimes.sandbox import Bubblewrap, Limits, Mount, SandboxSpec, start

pytestmark = pytest.mark.real

MB = 1 << 20


# --- files ------------------------------------------------------------------------------------------


def test_the_state_folder_and_the_other_attempts_are_not_there(
    attempt: Try, workspace: Path, tmp_path: Path
) -> None:
    home = workspace.parent
    for name in ("attempts/other/checkout", "claims", "spool", "jobs", "artifacts", "mirrors", "projects"):
        (home / name).mkdir(parents=True)
        (home / name / "file").write_text("theirs")
    (home / "server.key").write_text("key")
    (home / "turnout.db").write_text("events")
    said = attempt("sh", "-c", f"find {home} 2>/dev/null")[1]
    assert {*said.split()} == {str(home), str(workspace)}


def test_nothing_secret_of_the_machine_can_be_read(attempt: Try) -> None:
    places = [
        "/etc/shadow",
        "/etc/gshadow",
        "/etc/sudoers",
        "/etc/ssh",
        "/boot",
        "/sys",
        "/srv",
        "/var/lib",
        "/var/log",
        "/var/spool",
    ]
    places += ["/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/net", "/dev/vda", "/dev/sda"]
    said = attempt("sh", "-c", 'for each; do [ ! -e "$each" ] || echo "$each"; done', "sh", *places)[1]
    assert said == ""


def test_of_home_folders_only_the_way_to_this_python_is_there(attempt: Try) -> None:
    said = attempt("sh", "-c", "find /root /home -maxdepth 2 2>/dev/null")[1]
    prefix = str(Path(sys.base_prefix).resolve())
    assert [path for path in said.splitlines() if not f"{prefix}/".startswith(f"{path}/")] == []


def test_the_mirror_can_be_read_where_it_is_the_attempts_own_and_never_written(
    attempt: Try, tmp_path: Path
) -> None:
    mirrors = Mirrors(tmp_path / "home")
    shown, hidden = tmp_path / "shown", tmp_path / "hidden"
    sha = {path: repository(path, secret_dot_txt=f"of {path.name}\n") for path in (shown, hidden)}
    mirror, other = mirrors.of(str(shown)), mirrors.of(str(hidden))
    mirror.ensure(sha[shown])
    other.ensure(sha[hidden])
    mounts = (Mount(mirror.objects),)
    script = (
        f"find {tmp_path / 'home'} -name '*.git' -maxdepth 3; touch {mirror.objects}/x 2>&1; "
        f"rm -rf {mirror.objects}/pack 2>&1 | head -1; "
        f"echo alternates > {mirror.objects}/info/alternates; ls {other.path} 2>&1"
    )
    said = attempt("sh", "-c", script, mounts=mounts)[1]
    assert other.path.name not in said.replace(f"'{other.path}'", "").replace(f"{other.path}:", "")
    assert said.count("Read-only file system") >= 3
    assert list((mirror.objects / "pack").iterdir())
    assert not (mirror.objects / "info/alternates").exists()


def test_a_setuid_program_gives_nothing(attempt: Try, workspace: Path) -> None:
    """Neither the system's own nor one that was put into the workspace."""
    copy = workspace / "id"
    copy.write_bytes(Path("/usr/bin/id").read_bytes())
    copy.chmod(0o4755)
    said = attempt("sh", "-c", "id -u; ./id -u; cp /usr/bin/id mine; chmod 4755 mine; ./mine -u")[1].split()
    assert len({*said}) == 1
    assert "0" not in said
    if os.geteuid() == 0:
        assert (workspace / "mine").stat().st_uid != 0, "no program of root's is left behind"


def test_no_device_can_be_made(attempt: Try, workspace: Path) -> None:
    script = (
        "import os, stat\n"
        "for kind, name in ((stat.S_IFBLK, 'disk'), (stat.S_IFCHR, 'memory')):\n"
        "    try: os.mknod(name, kind | 0o666, os.makedev(1, 1)); print('made')\n"
        "    except OSError as error: print(error.errno)\n"
        "os.mkfifo('pipe')\n"
    )
    assert attempt(script=script)[1].split() == ["1", "1"]
    kinds = [stat.S_IFMT(path.lstat().st_mode) for path in workspace.iterdir()]
    assert kinds == [stat.S_IFIFO], "a pipe does no harm: see test_hostile_files.py"


def test_a_link_or_a_second_name_lends_a_tool_nothing(attempt: Try, workspace: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("theirs")
    script = (
        f"ln -s {secret} soft; ln -s / root; ln -s /proc/self/root/etc/shadow shadow; cat soft shadow; "
        f"ls root{tmp_path}; ln {secret} hard; ln /etc/os-release hard"
    )
    said = attempt("sh", "-c", script)[1]
    assert "theirs" not in said
    assert not (workspace / "hard").exists()
    for name in ("soft", "shadow"):
        with pytest.raises(AgentError, match="leads out of"):
            read_inside(workspace, name)


def test_what_is_written_over_and_over_is_not_read_as_something_else(
    attempt: Try, workspace: Path, tmp_path: Path
) -> None:
    """A tool that has ended swaps nothing any more; one that is still there gets no other file read for it."""
    secret = tmp_path / "secret"
    secret.write_text("theirs")
    (workspace / "report").write_text("ours")
    stop = threading.Event()

    def swap() -> None:
        while not stop.is_set():
            link = workspace / "link"
            link.symlink_to(secret)
            link.rename(workspace / "report")
            (workspace / "plain").write_text("ours")
            (workspace / "plain").rename(workspace / "report")

    swapping = threading.Thread(target=swap)
    swapping.start()
    try:
        read = set()
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            try:
                read.add(read_inside(workspace, "report"))
            except AgentError:
                continue
    finally:
        stop.set()
        swapping.join()
    assert read <= {b"ours", b"", None}


# --- processes ----------------------------------------------------------------------------------------


def test_no_process_outside_can_be_seen_signalled_or_traced(attempt: Try) -> None:
    script = (
        "import ctypes, os, sys\n"
        "outside = int(sys.argv[1])\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def refused(call):\n"
        "    try: call(); return False\n"
        "    except (ProcessLookupError, FileNotFoundError, PermissionError): return True\n"
        "print(refused(lambda: os.kill(outside, 0)), refused(lambda: os.kill(outside, 9)))\n"
        "print(refused(lambda: os.killpg(outside, 9)), refused(lambda: os.pidfd_open(outside)))\n"
        "print(refused(lambda: open(f'/proc/{outside}/environ')), refused(lambda: os.getpgid(outside)))\n"
        "print(libc.ptrace(16, outside, 0, 0) == -1)\n"
        "try: os.kill(-1, 15)\n"
        "except ProcessLookupError: print('nobody else')\n"
    )
    with subprocess.Popen(["sleep", "60"], start_new_session=True) as other:
        # a number that no process in the sandbox has: there, counting begins at 1
        assert other.pid > 50
        said = attempt(str(other.pid), script=script)[1]
        assert other.poll() is None
        other.kill()
    words = said.split()
    assert words[:7] == ["True"] * 7, said


def test_the_first_process_inside_tells_nothing_and_gives_nothing(attempt: Try) -> None:
    script = (
        "import os\n"
        "for what in ('environ', 'cmdline', 'maps'):\n"
        "    try: print(what, open(f'/proc/1/{what}', 'rb').read().replace(b'\\0', b' ')[:600])\n"
        "    except OSError as error: print(what, error.strerror)\n"
        "try: print('root', sorted(os.listdir('/proc/1/root/')))\n"
        "except OSError as error: print('root', error.strerror)\n"
        "try: print('cwd', os.readlink('/proc/1/cwd'))\n"
        "except OSError as error: print('cwd', error.strerror)\n"
    )
    said = attempt(script=script, env={"TOKEN": "of-the-tool"})[1]
    assert "TURNOUT" not in said
    assert "SECRET" not in said
    root = next(line for line in said.splitlines() if line.startswith("root"))
    assert not {"'work'", "'srv'", "'boot'", "'mnt'"} & {*root.removeprefix("root [").rstrip("]").split(", ")}


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/kernel/hostname",
        "/proc/sysrq-trigger",
        "/proc/self/oom_score_adj",
    ],
)
def test_the_kernels_switches_cannot_be_thrown(attempt: Try, path: str) -> None:
    value = "-1000" if "oom" in path else "x"
    before = Path(path).read_text() if "sysrq" not in path and "self" not in path else ""
    assert attempt("sh", "-c", f"echo {value} > {path}")[0].code != 0
    if before:
        assert Path(path).read_text() == before


def test_kernel_messages_addresses_and_keys_are_not_told(attempt: Try) -> None:
    script = (
        "import ctypes, os\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "buffer = ctypes.create_string_buffer(4096)\n"
        "print('messages', libc.klogctl(3, buffer, 4096))\n"
        "symbols = open('/proc/kallsyms').read(200) if os.path.exists('/proc/kallsyms') else ''\n"
        "print('addresses', any(int(line.split()[0], 16) for line in symbols.splitlines()[:3]))\n"
        "print('keys', libc.syscall({'x86_64': 250, 'aarch64': 219}[os.uname().machine], 0, -3, 0))\n"
    )
    assert attempt(script=script)[1].splitlines() == ["messages -1", "addresses False", "keys -1"]


def test_nothing_can_be_typed_into_the_terminal_of_whoever_started_it(
    sandbox: Bubblewrap, workspace: Path
) -> None:
    """The tool gets a real terminal as its output, and tries to push a command into its input."""
    ours, theirs = pty.openpty()
    script = (
        "import fcntl\n"
        "for number in (0x5412, 0x541C):\n"
        "    try: fcntl.ioctl(1, number, b'x'); print('typed')\n"
        "    except OSError as error: print(error.errno)\n"
    )
    try:
        with start(
            [PYTHON, "-I", "-S", "-c", script], SandboxSpec(workspace), sandbox, stdout=theirs
        ) as tool:
            assert tool.wait(30).code == 0
        said = os.read(ours, 1000).decode().split()
    finally:
        os.close(ours)
        os.close(theirs)
    assert said == ["1", "1"], "EPERM"


def test_a_daemon_that_hides_in_sessions_of_its_own_ends_with_the_tool(attempt: Try, workspace: Path) -> None:
    seconds = unique_seconds()
    script = (
        "import os, sys, time\n"
        "for _ in range(5):\n"
        "    if os.fork(): os._exit(0) if _ else None\n"
        "    else: os.setsid()\n"
        "open('started', 'w').close()\n"
        "os.execvp('sleep', ['sleep', sys.argv[1]])\n"
    )
    ended, _ = attempt("sh", "-c", f'{PYTHON} -I -S -c "$0" {seconds} & sleep 0.3', script)
    assert ended.code == 0
    wait_until(lambda: not living(seconds), 10)


def test_a_tool_that_stops_itself_and_its_group_is_ended_at_its_timeout(
    sandbox: Bubblewrap, workspace: Path
) -> None:
    seconds = unique_seconds()
    script = f"sleep {seconds} & kill -STOP $! $$"
    with start(["sh", "-c", script], SandboxSpec(workspace), sandbox) as tool:
        ended = tool.wait(0.5, grace=0.2)
    assert ended.timed_out
    assert ended.signal == signal.SIGKILL
    assert not living(seconds)


# --- what there is only so much of ------------------------------------------------------------------------


def test_memory_that_is_no_process_own_counts_as_well(attempt: Try, sandbox: Bubblewrap) -> None:
    """Files in memory, shared memory, and what waits in sockets."""
    require("a writable cgroup", sandbox.cgroups is not None, "run the tests as root")
    script = (
        "import os\n"
        "held = os.memfd_create('x')\n"
        "for _ in range(400): os.write(held, bytes(1 << 20))\n"
        "print('survived')\n"
    )
    ended, said = attempt(script=script, limits=Limits(memory_bytes=64 * MB))
    assert ended.oom_killed
    assert "survived" not in said


def test_open_files_and_threads_are_only_the_tools_own_trouble(attempt: Try, sandbox: Bubblewrap) -> None:
    require("a writable cgroup", sandbox.cgroups is not None, "run the tests as root")
    script = (
        "import threading, time\n"
        "made = 0\n"
        "try:\n"
        "    for made in range(10_000): threading.Thread(target=time.sleep, args=(30,), daemon=True).start()\n"
        "except RuntimeError: print(made)\n"
    )
    _, said = attempt(script=script, limits=Limits(pids=50))
    assert 30 <= int(said.split()[0]) <= 55


def test_where_nothing_may_be_written_the_disk_of_the_machine_is_safe(attempt: Try) -> None:
    """`/tmp`, the home, `/run` and `/dev/shm` are memory, and count as such; no other place can be written."""
    said = attempt(
        "sh", "-c", "for each in /tmp ~ /var/tmp /run /dev/shm; do stat -f -c %T $each; done; touch /x 2>&1"
    )[1].splitlines()
    assert said[:5] == ["tmpfs"] * 5
    assert "Read-only" in said[5] or "denied" in said[5]


# --- the cache ----------------------------------------------------------------------------------------------


def test_a_tool_that_is_no_installer_writes_to_no_cache(attempt: Try, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    (cache / "python" / "key").mkdir(parents=True)
    (cache / "python" / "key" / "site.py").write_text("good")
    script = f"echo evil > {cache}/python/key/site.py; mv {cache}/python {cache}/gone; touch {cache}/x"
    attempt("sh", "-c", script, mounts=(Mount(cache),))
    assert (cache / "python" / "key" / "site.py").read_text() == "good"
    assert [each.name for each in cache.iterdir()] == ["python"]


def test_a_socket_that_a_tool_leaves_in_the_workspace_connects_nobody(attempt: Try, workspace: Path) -> None:
    script = (
        "import socket\n"
        "server = socket.socket(socket.AF_UNIX); server.bind('door'); server.listen(); print('open')\n"
    )
    assert attempt(script=script)[1].strip() == "open"
    with socket.socket(socket.AF_UNIX) as knocking:
        assert knocking.connect_ex(str(workspace / "door")) != 0
    assert read_inside(workspace, "door") is None
