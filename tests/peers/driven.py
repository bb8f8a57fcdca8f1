"""Systems that are libraries: a driver process in the peers' environment runs the pipelines and tells their times."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local.server_process import ServerFailed
from tests.bench.memory import resident
from tests.bench.timeline import Burst, Timeline
from tests.peers.orphans import end_with_us
from tests.peers.place import programs
from tests.peers.redis_server import Redis

ROOT = Path(__file__).resolve().parents[2]
DRIVERS = "tests.peers.drivers"
UP_WITHIN = 90.0
DONE_WITHIN = 600.0


class Driven:
    """``driver``: the module in `tests.peers.drivers`. ``environ``: what it is told."""

    def __init__(
        self, name: str, folder: Path, driver: str, environ: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self._folder = folder
        self._driver = driver
        self._environ = {**os.environ, "PYTHONWARNINGS": "ignore", **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._said = b""

    def start(self) -> None:
        """Raises: ServerFailed with the end of the driver's log."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._process = self._run("driver", "python", "-m", f"{DRIVERS}.{self._driver}")
        if (said := self._line(UP_WITHIN)) != "ready":
            raise ServerFailed(f"{self.name}: expected `ready`, got {said!r}")

    def _run(self, log: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self._folder / f"{log}.log").open("ab") as errors:
            return subprocess.Popen(
                [programs() / program, *arguments],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if log == "driver" else errors,
                stderr=errors,
                start_new_session=True,
                preexec_fn=end_with_us,
            )

    def _line(self, within: float) -> str:
        """The driver's next line. Raises: ServerFailed when none comes."""
        assert self._process is not None
        assert self._process.stdout is not None
        deadline = time.monotonic() + within
        while b"\n" not in self._said:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._process.stdout], [], [], max(0.0, left))
            more = os.read(self._process.stdout.fileno(), 65536) if ready else b""
            if not more:
                log = (self._folder / "driver.log").read_text(errors="replace")[-3000:]
                raise ServerFailed(f"{self.name}: no answer {'in time' if left <= 0 else 'any more'}", log)
            self._said += more
        line, _, self._said = self._said.partition(b"\n")
        return line.decode()

    def _ask(self, what: str) -> dict[str, Any]:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(f"{what}\n".encode())
        self._process.stdin.flush()
        said: dict[str, Any] = json.loads(self._line(DONE_WITHIN))
        return said

    def one(self) -> Timeline:
        said = self._ask("one")
        return Timeline(said["sent"], said["answered"], tuple(said["stamps"]))

    def burst(self, pipelines: int) -> Burst:
        return Burst(**self._ask(f"burst {pipelines}"))

    def memory(self) -> float:
        """Megabytes of what a user would have running."""
        assert self._process is not None
        return resident([self._process.pid])

    def stop(self) -> None:
        if self._process is not None:
            _end(self._process)


class Celery(Driven):
    """With its own Redis and worker; the worker runs as many tasks at once as there are cores, which is its default."""

    def __init__(self, name: str, folder: Path) -> None:
        super().__init__(name, folder, "celery_chain")
        self._redis = Redis(folder=folder / "redis")
        self._worker: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self._redis.start()
        self._environ["CELERY_REDIS"] = self._redis.url
        app = f"{DRIVERS}.celery_tasks"
        self._worker = self._run("worker", "celery", "-A", app, "worker", "--loglevel", "WARNING")
        super().start()

    def memory(self) -> float:
        """The worker and Redis; not the driver, which only asks."""
        assert self._worker is not None
        return resident([self._worker.pid, self._redis.pid])

    def stop(self) -> None:
        super().stop()
        if self._worker is not None:
            _end(self._worker)
        self._redis.close()


def _end(process: subprocess.Popen[bytes]) -> None:
    """A driver ends with its input, a worker at SIGTERM."""
    if process.stdin is not None and not process.stdin.closed:
        process.stdin.close()
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=20)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
