"""Tools are started, waited for and ended with everything they started; without a sandbox around them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from tests.runtimes.watching import living, unique_seconds
from tests.waiting import wait_until
from turnout.runtimes.keepers import LIBRARY
from turnout.runtimes.processes import Exit, RunningTool, ToolNotStarted, start
from turnout.runtimes.sandbox import Limits, NoSandbox, SandboxSpec, Wrapped

NONE = NoSandbox("this is a test", None)

# A daemon as in the books: fork, a session of its own, fork again, the first parent gone.
DAEMON = """
import os, sys
if os.fork():
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.environ.clear()
os.execvp("/bin/sleep", ["sleep", sys.argv[1]])
"""


def run(tmp_path: Path, *argv: str, timeout: float | None = 30.0, **env: str) -> tuple[Exit, str]:
    with start(
        argv, SandboxSpec(tmp_path, env=env), NONE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as tool:
        assert tool.stdout is not None
        output = tool.stdout.read().decode()
        return tool.wait(timeout), output


def daemonise(seconds: str) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", DAEMON, seconds]


def test_the_exit_code_is_passed_through(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "exit 3") == (Exit(code=3), "")


def test_the_signal_that_ended_the_tool_is_told(tmp_path: Path) -> None:
    assert run(tmp_path, "sh", "-c", "kill -SEGV $$")[0] == Exit(code=None, signal=signal.SIGSEGV)


@pytest.mark.parametrize(("program", "code"), [("no-such-program", 127), ("./not-executable", 126)])
def test_a_program_that_cannot_be_run_ends_as_in_a_shell(tmp_path: Path, program: str, code: int) -> None:
    (tmp_path / "not-executable").write_text("#!/bin/sh\n")
    ended, output = run(tmp_path, program)
    assert ended.code == code
    assert program in output


def test_the_tool_works_in_the_workspace(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    with start(["pwd"], SandboxSpec(tmp_path, cwd="below"), NONE, stdout=subprocess.PIPE) as tool:
        assert tool.stdout is not None
        assert tool.stdout.read().decode().strip() == str(tmp_path / "below")


def test_the_tool_reads_what_it_is_given(tmp_path: Path) -> None:
    with start(["cat"], SandboxSpec(tmp_path), NONE, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as tool:
        assert tool.stdin is not None
        assert tool.stdout is not None
        tool.stdin.write(b"hello")
        tool.stdin.close()
        assert tool.stdout.read() == b"hello"
        assert tool.wait(10) == Exit(code=0)


def test_nothing_of_our_environment_reaches_the_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNOUT_SLACK_TOKEN", "xoxb-secret")
    names = {line.split("=")[0] for line in run(tmp_path, "env", MINE="1")[1].splitlines()}
    assert "MINE" in names
    assert names - {"MINE", "PATH", "HOME", "TMPDIR", "LANG", "USER", "LOGNAME"} == {
        "GIT_CONFIG_COUNT",
        "GIT_CONFIG_KEY_0",
        "GIT_CONFIG_VALUE_0",
    }


def test_no_other_open_file_reaches_the_tool(tmp_path: Path) -> None:
    with (tmp_path / "secret").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        listed = run(tmp_path, "ls", "/proc/self/fd")[1].split()
    assert listed == ["0", "1", "2", "3"]  # 3 is the folder that ls itself reads


def test_the_home_of_the_tool_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    ended, output = run(
        tmp_path, "sh", "-c", 'touch "$HOME/a" "$TMPDIR/b" && chmod 500 "$HOME" && echo "$HOME"'
    )
    assert ended.code == 0
    home = Path(output.strip())
    assert home != Path.home()
    assert not home.parent.exists()


def test_a_library_to_preload_is_never_loaded_outside_the_tool(tmp_path: Path) -> None:
    """The loader complains on standard error in every program that it cannot load the library into."""
    _, output = run(tmp_path, "/bin/sh", "-c", ":", LD_PRELOAD=str(tmp_path / "missing.so"))
    assert output.count("missing.so") == 1


def test_a_closed_pipe_ends_the_tool_as_usual(tmp_path: Path) -> None:
    ended, _ = run(tmp_path, "bash", "-c", "yes | head -1 >/dev/null; exit ${PIPESTATUS[0]}")
    assert ended.code == 128 + signal.SIGPIPE


def test_a_timeout_ends_the_tool_and_is_told(tmp_path: Path) -> None:
    seconds = unique_seconds()
    with start(["sleep", seconds], SandboxSpec(tmp_path), NONE) as tool:
        assert tool.poll() is None
        assert tool.wait(0.05) == Exit(code=None, signal=signal.SIGTERM, timed_out=True)
    assert not living(seconds)


def test_a_tool_may_use_its_grace_to_tidy_up(tmp_path: Path) -> None:
    script = "trap 'echo bye > tidied; exit 7' TERM; touch ready; while :; do sleep 0.01; done"
    with start(["sh", "-c", script], SandboxSpec(tmp_path), NONE) as tool:
        wait_until((tmp_path / "ready").exists)
        tool.terminate(grace=20)
        assert tool.wait() == Exit(code=7)
    assert (tmp_path / "tidied").exists()


def test_a_tool_that_will_not_end_is_killed_after_its_grace(tmp_path: Path) -> None:
    seconds = unique_seconds()
    script = f"trap '' TERM; sh -c \"trap '' TERM; touch ready; sleep {seconds}\"; :"
    with start(["sh", "-c", script], SandboxSpec(tmp_path), NONE) as tool:
        wait_until((tmp_path / "ready").exists)
        tool.terminate(grace=0.1)
        assert tool.wait() == Exit(code=None, signal=signal.SIGKILL)
    assert not living(seconds)


def test_a_second_order_can_only_shorten_the_grace(tmp_path: Path) -> None:
    with start(
        ["sh", "-c", "trap '' TERM; touch ready; while :; do sleep 0.01; done"], SandboxSpec(tmp_path), NONE
    ) as tool:
        wait_until((tmp_path / "ready").exists)
        patient = threading.Thread(target=tool.terminate, args=(3600.0,))
        patient.start()
        tool.terminate(grace=0.05)
        patient.join(20)
        assert not patient.is_alive()


def test_a_daemon_does_not_outlive_its_tool(tmp_path: Path) -> None:
    """It has left the process group, the session, its parents and its environment."""
    seconds = unique_seconds()
    ended, _ = run(tmp_path, "sh", "-c", '"$@"; touch done', "sh", *daemonise(seconds))
    assert ended == Exit(code=0)
    assert (tmp_path / "done").exists()
    assert not living(seconds)


def test_a_daemon_is_killed_with_its_tool(tmp_path: Path) -> None:
    seconds = unique_seconds()
    with start(
        ["sh", "-c", '"$@"; sleep 60', "sh", *daemonise(seconds)], SandboxSpec(tmp_path), NONE
    ) as tool:
        wait_until(lambda: living(seconds))
        tool.terminate(grace=0)
        assert tool.wait().survivors == ()
    assert not living(seconds)


def test_reading_the_output_to_its_end_never_hangs_on_a_daemon(tmp_path: Path) -> None:
    seconds = unique_seconds()
    started = time.monotonic()
    assert run(tmp_path, *daemonise(seconds), "said")[0].code == 0
    assert time.monotonic() - started < 20


def test_processes_that_fork_faster_than_a_list_is_read_are_killed(tmp_path: Path) -> None:
    """A chain of processes, each of which starts the next and ends: no list of processes is ever current."""
    script = (
        "import os, time\nend = time.monotonic() + 20\n"  # of its own, should it outlive the test after all
        "while time.monotonic() < end and (not os.fork() or os._exit(0)):\n    os.setsid()\n    time.sleep(0.0005)\n"
    )
    name = unique_seconds()
    with start([sys.executable, "-I", "-S", "-c", script, name], SandboxSpec(tmp_path), NONE) as tool:
        assert tool.wait(10).survivors == ()
    assert not living(name)


def test_leaving_the_with_block_ends_the_tool(tmp_path: Path) -> None:
    seconds = unique_seconds()
    with start(["sleep", seconds], SandboxSpec(tmp_path), NONE):
        wait_until(lambda: living(seconds))
    assert not living(seconds)


def test_the_thread_that_started_a_tool_may_end(tmp_path: Path) -> None:
    tools: list[RunningTool] = []
    seconds = unique_seconds()
    thread = threading.Thread(
        target=lambda: tools.append(start(["sleep", seconds], SandboxSpec(tmp_path), NONE))
    )
    thread.start()
    thread.join()
    wait_until(lambda: living(seconds))
    with tools[0]:
        assert tools[0].poll(0.2) is None


RUNNER = """
import sys, time
from pathlib import Path
from turnout.runtimes.sandbox import NoSandbox, SandboxSpec, start
tool = start(sys.argv[2:], SandboxSpec(Path(sys.argv[1])), NoSandbox("this is a test", None))
time.sleep(60)
"""


def test_the_tool_ends_when_whoever_started_it_is_killed(tmp_path: Path) -> None:
    seconds, daemon = unique_seconds(), unique_seconds()
    script = f"trap '' TERM; echo $HOME > home; \"$@\"; sleep {seconds}"
    argv = ["sh", "-c", script, "sh", *daemonise(daemon)]
    environ = {**os.environ, "PYTHONPATH": str(LIBRARY)}
    with subprocess.Popen([sys.executable, "-c", RUNNER, str(tmp_path), *argv], env=environ) as runner:
        wait_until(lambda: living(seconds) and living(daemon))
        runner.kill()
    wait_until(lambda: not living(seconds) and not living(daemon))
    home = Path((tmp_path / "home").read_text().strip())
    wait_until(lambda: not home.parent.exists())


def test_a_tool_that_could_not_be_set_up_is_no_result(tmp_path: Path) -> None:
    class Vanishing(NoSandbox):
        def wrap(self, argv: object, spec: SandboxSpec) -> Wrapped:
            return Wrapped(argv=("true",), env={}, cwd=tmp_path / "gone", limits=Limits())

    with (
        start(["true"], SandboxSpec(tmp_path), Vanishing("this is a test", None)) as tool,
        pytest.raises(ToolNotStarted, match="gone"),
    ):
        tool.wait(10)


def test_a_supervisor_that_was_killed_is_no_result(tmp_path: Path) -> None:
    seconds = unique_seconds()
    with start(["sleep", seconds], SandboxSpec(tmp_path), NONE) as tool:
        wait_until(lambda: living(seconds))
        os.kill(tool.pid, signal.SIGKILL)
        with pytest.raises(ToolNotStarted, match="without a word"):
            tool.wait(10)
    wait_until(lambda: not living(seconds))


def test_without_a_cgroup_the_memory_of_each_process_is_limited(tmp_path: Path) -> None:
    eat = [sys.executable, "-I", "-S", "-c", "bytearray(300_000_000)"]
    limited = SandboxSpec(tmp_path, limits=Limits(memory_bytes=100_000_000))
    with start(eat, limited, NONE, stderr=subprocess.PIPE) as tool:
        assert tool.stderr is not None
        assert b"MemoryError" in tool.stderr.read()
        assert tool.wait(10).code == 1
