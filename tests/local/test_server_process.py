"""Server programs as children: small scripts here that say they are ready, or don't."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.server_process import (
    LocalServer,
    ServerFailed,
    ServerProcess,
    children,
    free_port,
    refuse_taken_port,
)
from tests.waiting import wait_until

READY = "print('ready now', flush=True); "
FOREVER = "import signal; signal.pause()"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "server.log"


def process(log: Path, script: str) -> ServerProcess:
    return ServerProcess("the server", [sys.executable, "-c", script], log, ready_line="ready now")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_start_returns_when_the_log_says_ready(log: Path) -> None:
    server = process(log, READY + FOREVER)
    server.start(ready_within=20)
    try:
        assert server.running
        assert "ready now" in log.read_text()
    finally:
        server.stop()
    assert not server.running


def test_a_server_that_ends_while_starting_is_told_with_its_last_words(log: Path) -> None:
    with pytest.raises(ServerFailed, match=r"(?s)ended while starting.*no space left"):
        process(log, "raise SystemExit('no space left')").start(ready_within=20)


def test_a_server_that_is_never_ready_is_killed_at_the_deadline(log: Path) -> None:
    server = process(log, FOREVER)
    with pytest.raises(ServerFailed, match="not ready within"):
        server.start(ready_within=0.2)
    assert not server.running


def test_a_ready_line_of_an_earlier_start_does_not_count(log: Path) -> None:
    log.write_text("ready now\n")
    with pytest.raises(ServerFailed, match="ended while starting"):
        process(log, "pass").start(ready_within=20)


def test_a_server_deaf_to_the_stop_signal_is_killed(log: Path) -> None:
    server = process(log, "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + FOREVER)
    server.start(ready_within=20)
    pid = server.pid
    server.stop(within=0.1)
    assert gone(pid)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="lists of children are Linux's")
def test_kill_takes_the_children_too(log: Path) -> None:
    child = (
        "import subprocess, sys; subprocess.Popen([sys.executable, '-c', 'import signal; signal.pause()']); "
    )
    server = process(log, child + READY + FOREVER)
    server.start(ready_within=20)
    (pid,) = children(server.pid)
    server.kill()
    stat = Path(f"/proc/{pid}/stat")
    wait_until(lambda: not stat.exists() or ") Z " in stat.read_text(), 5, "the child is dead")


def test_it_starts_again_after_a_kill(log: Path) -> None:
    server = process(log, READY + FOREVER)
    server.start(ready_within=20)
    first = server.pid
    server.kill()
    server.start(ready_within=20)
    try:
        assert server.pid != first
    finally:
        server.stop()


def test_a_free_port_is_free_and_a_taken_one_is_refused() -> None:
    port = free_port()
    refuse_taken_port(port, "the server")
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServerFailed, match=f"port {port} is taken"),
    ):
        refuse_taken_port(port, "the server")


class Echo(LocalServer):
    what = "the server"

    def _prepare(self) -> ServerProcess:
        return process(self.log, READY + FOREVER)


@pytest.fixture
def echo() -> Iterator[Echo]:
    server = Echo()
    yield server
    server.close()


def test_the_temporary_folder_is_gone_after_close() -> None:
    with Echo() as server:
        folder = server.folder
        assert (folder / "server.log").exists()
    assert not folder.exists()


def test_a_folder_that_was_given_is_kept(tmp_path: Path) -> None:
    with Echo(folder=tmp_path / "kept") as server:
        assert server.folder == tmp_path / "kept"
    assert (tmp_path / "kept" / "server.log").exists()


def test_the_pid_of_a_server_that_was_never_started_is_an_error(echo: Echo) -> None:
    assert not echo.running
    with pytest.raises(ServerFailed, match="not running"):
        _ = echo.pid


def test_a_port_that_was_asked_for_and_is_taken_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Echo(port=listener.getsockname()[1])
        with pytest.raises(ServerFailed, match="is taken"), server:
            pass
