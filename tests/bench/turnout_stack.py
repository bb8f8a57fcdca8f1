"""Turnout as its users run it: `turnout up` in a process of its own, a repository, signed webhook requests."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

from sqlalchemy import text

from tests.bench.memory import resident
from tests.bench.repositories import IN_ORDER, Repository, wide
from tests.bench.sending import send_all
from tests.bench.timeline import Burst, Timeline, read_stamp
from tests.peers.orphans import end_with_us
from tests.waiting import wait_until
from turnout.adapters.settings import read_settings
from turnout.core.artifact_keys import attempt_key
from turnout.stack.layout import Running, read_running
from turnout.webhook import sign
from turnout.wiring import Wiring, prepare

ROOT = Path(__file__).resolve().parents[2]
SECRET = "bench"
DONE_WITHIN = 300.0
LOOK_EVERY = 10.0


class TurnoutStack:
    """``settings``: variables besides the usual ones. It may be started again after a stop, with the same data."""

    def __init__(self, name: str, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self.name = name
        self._folder = folder
        self._settings = dict(settings or {})
        self._process: subprocess.Popen[bytes] | None = None
        self.wiring = Wiring(read_settings(self.environ))
        self._posted = 0
        self.repository = Repository(folder, "acme/shop")
        self.wide: dict[int, Repository] = {}

    @property
    def environ(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("TURNOUT_")}
        return {
            **kept,
            "TURNOUT_HOME": str(self._folder / "home"),
            "TURNOUT_WEBHOOK_SECRET": SECRET,
            "TURNOUT_LOG_LEVEL": "warning",
            **self._settings,
        }

    # --- life ---------------------------------------------------------------------------------------

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        self.wiring = Wiring(read_settings(self.environ))
        prepare(self.wiring.settings)
        if not self.repository.payload:
            self.repository.make(self.wiring.settings.projects_folder)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "turnout", "up", "--port", "0", "--quiet"],
                cwd=ROOT,
                env=self.environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=end_with_us,
            )
        wait_until(self._ready, 60, f"{self.name} is up", poll=0.05)

    def _ready(self) -> Running | None:
        if self._process is None or self._process.poll() is not None:
            raise AssertionError(f"{self.name} has ended: {self.log.read_text(errors='replace')[-3000:]}")
        found = read_running(self.wiring.settings.home)
        return found if found and found.pid == self._process.pid and found.ready else None

    @property
    def log(self) -> Path:
        return self._folder / "stack.log"

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=60)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        self.wiring.store.close()

    def memory(self) -> float:
        assert self._process is not None
        return resident([self._process.pid])

    # --- pipelines ------------------------------------------------------------------------------------

    def one(self) -> Timeline:
        """A pipeline, from its request to its end."""
        return self._timed(self.repository, IN_ORDER)

    def side_by_side(self, width: int) -> Timeline:
        """A pipeline of ``width`` tasks that start together: a stage each, from `MOST_STAGES` on several a stage."""
        repository = self.wide.get(width)
        if repository is None:
            repository = wide(self._folder, width)
            repository.make(self.wiring.settings.projects_folder)
            self.wide[width] = repository
        return self._timed(repository, repository.tasks)

    def _timed(self, repository: Repository, stages: Sequence[str]) -> Timeline:
        with closing(self.connect()) as connection:
            sent = time.time_ns()
            run = self.post(connection, repository)
            answered = time.time_ns()
        stamps = self._wait(run, stages)
        wait_until(lambda: self.ended([run]) == 1, 60, f"{run} has ended", poll=0.005)
        return Timeline(sent, answered, stamps)

    def _wait(self, run: str, tasks: Sequence[str]) -> tuple[int, ...]:
        """The stamps. The store is not asked while all goes well: that would cost what is measured."""
        deadline = time.monotonic() + DONE_WITHIN
        while time.monotonic() < deadline:
            try:
                return wait_until(lambda: self.stamps(run, tasks), LOOK_EVERY, "stamps", poll=0.005)
            except AssertionError:
                self.ended([run])
        raise AssertionError(f"{self.name}: {run} had not run after {DONE_WITHIN:.0f} s")

    def burst(self, pipelines: int) -> Burst:
        return burst_of([self], pipelines)

    # --- requests and what came of them -----------------------------------------------------------------

    def connect(self) -> http.client.HTTPConnection:
        running = read_running(self.wiring.settings.home)
        assert running is not None
        connection = http.client.HTTPConnection(urlsplit(running.urls["webhook"]).netloc, timeout=60)
        connection.connect()
        return connection

    def post(self, connection: http.client.HTTPConnection, repository: Repository) -> str:
        """A push, signed, as GitHub delivers it; the run's id."""
        self._posted += 1
        body = repository.payload
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": f"{self.name}-{threading.get_ident()}-{self._posted}-{time.time_ns()}",
            "X-Hub-Signature-256": sign(SECRET.encode(), body),
        }
        connection.request("POST", "/webhook", body, headers)
        answer = connection.getresponse()
        said = answer.read()
        assert answer.status == 202, said
        return str(json.loads(said)["run"])

    def stamps(self, run: str, stages: Sequence[str]) -> tuple[int, ...]:
        """Nothing while one is missing."""
        found: list[int] = []
        for stage in reversed(stages):
            stamp = stamp_in(self.wiring.settings.home, run, stage)
            if stamp is None:
                return ()
            found.append(stamp)
        return tuple(reversed(found))

    def ended(self, runs: Sequence[str]) -> int:
        """How many of these have ended. Raises: AssertionError for one that did not succeed."""
        with self.wiring.store.database.read() as connection:
            rows = connection.execute(
                text(
                    "SELECT id, outcome FROM runs WHERE finished_at IS NOT NULL ORDER BY seq DESC LIMIT :most"
                ),
                {"most": len(runs)},
            ).all()
        wanted = set(runs)
        outcomes = [outcome for run, outcome in rows if run in wanted]
        assert set(outcomes) <= {"success"}, f"{self.name}: {outcomes}"
        return len(outcomes)


def burst_of(stacks: Sequence[TurnoutStack], pipelines: int) -> Burst:
    """Posted to all of these stacks, which share a store; any of them may do the work."""
    first = stacks[0]
    runs: list[str] = []
    began = time.time_ns()
    send_all(
        pipelines,
        [each.connect for each in stacks],
        lambda connection: runs.append(first.post(connection, first.repository)),
    )
    taken = time.time_ns()
    wait_until(lambda: first.ended(runs) == pipelines, 900, "all pipelines have ended", poll=0.1)
    homes = [each.wiring.settings.home for each in stacks]
    ended = max(
        wait_until(partial(_last_stamp, homes, run), 30, "the logs of a pipeline are there") for run in runs
    )
    return Burst(pipelines, began, taken, ended)


def _last_stamp(homes: Sequence[Path], run: str) -> int:
    return max(stamp_in(home, run, IN_ORDER[-1]) or 0 for home in homes)


def stamp_in(home: Path, run: str, stage: str) -> int | None:
    """What the command of this stage has written, where its log is kept in this home."""
    try:
        return read_stamp((home / "artifacts" / attempt_key(run, stage, 1)).read_bytes())
    except FileNotFoundError:
        return None
