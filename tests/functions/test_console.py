from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.console.visiting import BASE, InProcess
from tests.waiting import wait_until
from turnout.stack.layout import CONSOLE, source_of

ROOT = Path(__file__).resolve().parents[2]
PART = """
import sys
from turnout.stack.parts import run_console
run_console(int(sys.argv[1]), lambda: sys.stdout.write("ready\\n") and sys.stdout.flush())
"""


@pytest.mark.real
def test_the_framework_serves_the_console_as_a_function(turnout_home: Path) -> None:
    from functions_framework import create_app

    app = create_app(CONSOLE, str(source_of(CONSOLE)))
    client = httpx.Client(transport=InProcess(app), base_url=BASE)
    assert client.get("/healthz").json() == "ok"
    assert client.get("/api/v1/openapi.json").json()["info"]["title"] == "Turnout"
    assert client.get("/api/v1/runs").status_code == 401
    assert client.post("/api/v1/runs").json()["status"] == 405


@pytest.mark.real
def test_on_one_machine_nothing_of_it_is_loaded_before_somebody_comes(turnout_home: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        descriptor = listening.fileno()
        process = subprocess.Popen(
            [sys.executable, "-c", PART, str(descriptor)],
            cwd=ROOT,
            pass_fds=[descriptor],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            before = mapped(process.pid)
            address = f"http://127.0.0.1:{listening.getsockname()[1]}"
            assert httpx.get(f"{address}/healthz", timeout=30).json() == "ok"
            assert "pydantic_core" not in before
            assert "pydantic_core" in mapped(process.pid)
        finally:
            process.terminate()
            process.communicate(timeout=30)
    wait_until(lambda: not os.path.exists(f"/proc/{process.pid}"))


def mapped(pid: int) -> str:
    """The files that a process has in its memory."""
    return Path(f"/proc/{pid}/maps").read_text()
