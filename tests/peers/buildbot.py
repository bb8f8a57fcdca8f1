"""Buildbot as its users run it: a master with GitHub's change hook, and workers that speak to it over the network.

From PyPI, in the environment that ``tests/peers/setup.sh`` makes. Its data are in SQLite in its own folder, so that a
start after a kill goes on with them.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from local.server_process import ServerFailed, children, free_port
from tests.peers.buildbot_records import Records
from tests.peers.place import programs
from tests.waiting import wait_until

SECRET = "side by side"
BRANCH = "main"

CONFIGURATION = """\
# Written by the comparison's harness.
import json
from buildbot.plugins import changes, schedulers, steps, util, worker

given = json.loads(%(given)r)
environment = {"REVISION": util.Interpolate("%%(prop:revision)s"),
               "BUILD": util.Interpolate("%%(prop:buildnumber)s")}
factory = util.BuildFactory()
for number, command in enumerate(given["commands"], 1):
    factory.addStep(steps.ShellCommand(name="s%%d" %% number, command=["sh", "-c", command], env=environment,
                                       haltOnFailure=True))
BuildmasterConfig = {
    "workers": [worker.Worker(name, given["password"]) for name in given["workers"]],
    "protocols": {"pb": {"port": "tcp:%%d:interface=127.0.0.1" %% given["worker_port"]}},
    "change_source": [],
    "schedulers": [schedulers.AnyBranchScheduler(name="pushes", builderNames=["pipeline"], treeStableTimer=None)],
    "builders": [util.BuilderConfig(name="pipeline", workernames=given["workers"], factory=factory)],
    "collapseRequests": False,  # each push is built, as in the other systems
    "www": {"port": "tcp:%%d:interface=127.0.0.1" %% given["port"],
            "change_hook_dialects": {"github": {"secret": given["secret"], "strict": True}}},
    "title": "comparison", "titleURL": given["url"], "buildbotURL": given["url"],
    "buildbotNetUsageData": None,  # it would tell its makers of us
    "db": {"db_url": "sqlite:///state.sqlite"},
}
"""


class Buildbot(Records):
    """``commands``: one step each, run by ``sh -c`` with ``REVISION`` and ``BUILD`` in the environment.

    ``workers``: processes that run builds, one build at a time each. As a context manager, started on the way in.
    """

    secret = SECRET

    def __init__(
        self,
        commands: Sequence[str],
        *,
        folder: Path | None = None,
        workers: int = 1,
        environ: Mapping[str, str] | None = None,
    ) -> None:
        self._made = folder is None
        self.folder = folder or Path(tempfile.mkdtemp(prefix="turnout-buildbot-"))
        self._environ = {**os.environ, **(environ or {}), "PYTHONWARNINGS": "ignore"}
        self._commands = list(commands)
        self._names = [f"worker{number}" for number in range(1, workers + 1)]
        super().__init__(self.folder / "master" / "state.sqlite")
        self._port, self._worker_port = free_port(), free_port()
        self._master: subprocess.Popen[bytes] | None = None
        self._workers: dict[str, subprocess.Popen[bytes]] = {}
        self.url = f"http://127.0.0.1:{self._port}/"

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- life ---------------------------------------------------------------------------------------

    @property
    def master_folder(self) -> Path:
        return self.folder / "master"

    @property
    def pids(self) -> list[int]:
        """The master's, and the workers'; those that are alive."""
        known = [self._master, *self._workers.values()]
        return [each.pid for each in known if each is not None and each.poll() is None]

    @property
    def master_pid(self) -> int:
        """Raises: ServerFailed while it is not running."""
        if self._master is None or self._master.poll() is not None:
            raise ServerFailed("Buildbot's master is not running", "call start() first")
        return self._master.pid

    def start(self, within: float = 60) -> None:
        """Start what is not running; return when the hook answers and every worker is connected.

        Raises: ServerFailed with the end of a log.
        """
        if not (self.master_folder / "buildbot.tac").exists():
            self._create()
        if self._master is None or self._master.poll() is not None:
            self._master = self._run("master", "buildbot", "start", "--nodaemon", str(self.master_folder))
        for name in self._names:
            running = self._workers.get(name)
            if running is None or running.poll() is not None:
                self._workers[name] = self._run(
                    name, "buildbot-worker", "start", "--nodaemon", str(self.folder / name)
                )
        wait_until(self._ready, within, "Buildbot is up", poll=0.05)

    def _create(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._call("buildbot", "create-master", "--quiet", str(self.master_folder))
        given = {
            "commands": self._commands,
            "workers": self._names,
            "password": "worker",
            "worker_port": self._worker_port,
            "port": self._port,
            "secret": self.secret,
            "url": self.url,
        }
        (self.master_folder / "master.cfg").write_text(CONFIGURATION % {"given": json.dumps(given)})
        for name in self._names:
            address = f"127.0.0.1:{self._worker_port}"
            self._call(
                *("buildbot-worker", "create-worker", "--quiet", "--maxdelay=1"),
                *(str(self.folder / name), address, name, "worker"),
            )

    def _call(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [programs() / program, *arguments],
            env=self._environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        if done.returncode != 0:
            raise ServerFailed(f"{program} {arguments[0]} failed", (done.stdout + done.stderr)[-2000:])

    def _run(self, name: str, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{name}.out").open("ab") as output:
            return subprocess.Popen(
                [programs() / program, *arguments],
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _ready(self) -> bool:
        for name, process in {"master": self._master, **self._workers}.items():
            if process is None or process.poll() is not None:
                log = self.folder / name / "twistd.log"
                said = log.read_text(errors="replace") if log.exists() else ""
                said += (self.folder / f"{name}.out").read_text(errors="replace")
                raise ServerFailed(f"Buildbot's {name} ended while starting", said[-3000:])
        try:
            found = self.ask("workers")["workers"]
        except OSError:
            return False
        return sum(bool(each["connected_to"]) for each in found) == len(self._names)

    def stop(self) -> None:
        """In good order: the master first, which lets go of its workers."""
        for process in (self._master, *self._workers.values()):
            if process is not None and process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in (self._master, *self._workers.values()):
            if process is not None:
                try:
                    process.wait(timeout=30)
                except subprocess.TimeoutExpired:
                    _kill(process)

    def kill_master(self) -> None:
        """SIGKILL; `start` brings it back with the same data."""
        if self._master is not None:
            _kill(self._master)

    def kill_worker(self, number: int = 1) -> None:
        """SIGKILL one worker with the commands it runs; `start` brings it back."""
        _kill(self._workers[self._names[number - 1]])

    def close(self) -> None:
        self.stop()
        if self._made:
            shutil.rmtree(self.folder, ignore_errors=True)

    # --- requests -------------------------------------------------------------------------------------

    def post(self, delivery_id: str, payload: bytes, timeout: float = 30) -> int:
        """A push, signed, as GitHub delivers it; the answer's status. Raises: OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=timeout)
        try:
            return self.post_on(connection, delivery_id, payload)
        finally:
            connection.close()

    def post_on(self, connection: http.client.HTTPConnection, delivery_id: str, payload: bytes) -> int:
        """Likewise, on a connection that is kept."""
        # Buildbot 4 reads the older header, which GitHub sends beside the newer one.
        signature = hmac.new(self.secret.encode(), payload, hashlib.sha1).hexdigest()
        headers = {
            "Content-Type": "application/json",
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": delivery_id,
            "X-Hub-Signature": f"sha1={signature}",
        }
        connection.request("POST", "/change_hook/github", payload, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status

    @property
    def address(self) -> tuple[str, int]:
        return "127.0.0.1", self._port

    def ask(self, path: str, timeout: float = 30) -> Any:
        """Of the REST API: what ``api/v2/`` says. Raises: OSError."""
        with urllib.request.urlopen(f"{self.url}api/v2/{path}", timeout=timeout) as answer:
            return json.load(answer)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """With its children: the commands that it runs."""
    for pid in (process.pid, *children(process.pid)):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


def push_payload(revision: str, repository: str = "acme/shop") -> bytes:
    """GitHub's payload for a push of one commit, with the fields that Buildbot reads. ``revision``: 40 hex digits."""
    if not re.fullmatch("[0-9a-f]{40}", revision):
        raise ValueError(f"{revision!r} is no commit id: 40 hex digits")
    url = f"https://github.com/{repository}"
    author = {"name": "Ada", "email": "ada@example.org", "username": "ada"}
    commit = {
        "id": revision,
        "message": "Sell tea",
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "url": f"{url}/commit/{revision}",
        "author": author,
        "committer": author,
        "added": [],
        "removed": [],
        "modified": ["shop.py"],
    }
    return json.dumps(
        {
            "ref": f"refs/heads/{BRANCH}",
            "before": "0" * 40,
            "after": revision,
            "created": False,
            "deleted": False,
            "commits": [commit],
            "head_commit": commit,
            "repository": {
                "name": repository.rpartition("/")[2],
                "full_name": repository,
                "html_url": url,
                "clone_url": f"{url}.git",
            },
            "pusher": {"name": "ada", "email": "ada@example.org"},
            "sender": {"login": "ada"},
        }
    ).encode()
