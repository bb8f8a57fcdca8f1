"""The whole system as its users start it: `turnout up` in a process of its own, a git repository, deliveries as from
GitHub, and a stand-in for Slack. What tasks do outside is written to a file, so that a thing done twice would show."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from local.demo.push import GIT_ENVIRONMENT
from local.slack.stand_in import StandIn
from local.slack.workspace import Workspace
from tests.waiting import wait_until
from turnout.adapters.settings import read_settings
from turnout.adapters.signing import believe
from turnout.core.attestation import statement
from turnout.core.run import Run
from turnout.stack.layout import Running, read_running
from turnout.stack.lock import held
from turnout.webhook import sign
from turnout.wiring import Wiring, prepare

ROOT = Path(__file__).resolve().parents[2]
SECRET = "end to end"
CHANNEL = "builds"
REPOSITORY = "acme/shop"

PIPELINE = """\
pipeline:
  stages:
    - name: first
      agent: script
      with: {run: "echo $TURNOUT_RUN first $TURNOUT_ATTEMPT_NUMBER >> $EFFECTS"}
      env: {EFFECTS: "%(effects)s"}
    - name: second
      agent: script
      with: {run: "sleep 0.2; echo $TURNOUT_RUN second $TURNOUT_ATTEMPT_NUMBER >> $EFFECTS"}
      env: {EFFECTS: "%(effects)s"}
    - name: third
      agent: script
      with: {run: "echo $TURNOUT_RUN third $TURNOUT_ATTEMPT_NUMBER >> $EFFECTS"}
      env: {EFFECTS: "%(effects)s"}
  notify_on_success: true
"""


@dataclass
class System:
    """``settings``: environment variables besides the usual ones; ``arguments``: more of `turnout up`; ``tree``: where
    the code is."""

    home: Path
    settings: Mapping[str, str] = field(default_factory=dict)
    arguments: Sequence[str] = ()
    tree: Path = ROOT

    def __post_init__(self) -> None:
        self.workspace = Workspace([CHANNEL])
        self.slack = StandIn(self.workspace)
        self.effects = self.home / "effects.txt"
        self.effects.touch()
        self.log = self.home / "stack.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._deliveries = 0

    @property
    def environ(self) -> dict[str, str]:
        return {
            **os.environ,
            "TURNOUT_HOME": str(self.home / "state"),
            "TURNOUT_WEBHOOK_SECRET": SECRET,
            "TURNOUT_SLACK_TOKEN": "xoxb-test",
            "TURNOUT_SLACK_BASE_URL": self.slack.base_url,
            "TURNOUT_SLACK_CHANNEL": f"#{CHANNEL}",
            "TURNOUT_SANDBOX": "none",
            "TURNOUT_LEASE": "8",
            "TURNOUT_HEARTBEAT": "1",
            "TURNOUT_SESSION_TIMEOUT": "6",
            **self.settings,
        }

    def __enter__(self) -> Self:
        self.slack.__enter__()
        self.wiring = Wiring(read_settings(self.environ))
        prepare(self.wiring.settings)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self.slack.__exit__(kind, error, trace)
        self.wiring.store.close()
        if error is not None:
            sys.stderr.write(self.log.read_text(errors="replace")[-6000:])

    # --- the stack ----------------------------------------------------------------------------

    def start(self) -> Running:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "turnout", "up", "--port", "0", *self.arguments],
                cwd=self.tree,
                env=self.environ,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        started = self.process.pid

        def ready() -> Running | None:
            found = read_running(self.wiring.settings.home)
            return found if found and found.pid == started and found.ready else None

        found = wait_until(ready, 60, "the stack is up", poll=0.05)
        assert found is not None
        return found

    @property
    def running(self) -> Running:
        found = read_running(self.wiring.settings.home)
        assert found is not None
        return found

    def stop(self) -> int | None:
        if self.process is None or self.process.poll() is not None:
            return None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=90)

    def kill(self, part: str) -> None:
        """SIGKILL one part."""
        os.kill(self.running.parts[part], signal.SIGKILL)

    def kill_supervisor(self, *, with_parts: bool) -> None:
        """SIGKILL the supervisor, alone or with all its parts at once, as when a machine goes down."""
        assert self.process is not None
        for pid in [self.process.pid, *(self.running.parts.values() if with_parts else ())]:
            os.kill(pid, signal.SIGKILL)
        self.process.wait(timeout=10)
        wait_until(lambda: not held(self.wiring.settings.home), 60, "the stack's lock is free")

    # --- a repository, and pushes to it ---------------------------------------------------------

    def make_repository(self, files: Mapping[str, str] | None = None) -> None:
        work = self.home / "work"
        work.mkdir()
        self._git("init", "--quiet", "--initial-branch=main")
        given = files or {"pipeline.yml": PIPELINE % {"effects": self.effects}}
        for name, text in given.items():
            path = work / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        self._git("add", "--all")
        self._git("commit", "--quiet", "-m", "Sell tea")
        projects = self.wiring.settings.projects_folder
        projects.mkdir(parents=True, exist_ok=True)
        (projects / "shop.yml").write_text(f"project:\n  repository: {REPOSITORY}\n  clone_url: {work}\n")

    def _git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.home / "work",
            env=os.environ | GIT_ENVIRONMENT,
            check=True,
            capture_output=True,
            text=True,
        )
        return done.stdout.strip()

    def payload(self) -> bytes:
        sha = self._git("rev-parse", "HEAD")
        url = f"https://github.com/{REPOSITORY}"
        return json.dumps(
            {
                "ref": "refs/heads/main",
                "before": "0" * 40,
                "after": sha,
                "head_commit": {"id": sha, "message": "Sell tea"},
                "repository": {"full_name": REPOSITORY, "clone_url": f"{url}.git", "default_branch": "main"},
                "sender": {"login": "ada"},
            }
        ).encode()

    def deliver(self, delivery: str = "", within: float = 60) -> str:
        """Deliver a push as GitHub does, and again while nobody answers. The run's id."""
        self._deliveries += 1
        body, name = self.payload(), delivery or f"delivery-{self._deliveries}"
        headers = {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": name,
            "X-Hub-Signature-256": sign(SECRET.encode(), body),
        }

        def taken() -> str:
            running = read_running(self.wiring.settings.home)
            if running is None:
                return ""
            try:
                answer = httpx.post(running.urls["webhook"], content=body, headers=headers, timeout=10)
            except httpx.HTTPError:
                return ""
            return str(answer.json()["run"]) if answer.status_code in (200, 202) else ""

        return wait_until(taken, within, "the webhook accepts the delivery", poll=0.1)

    # --- what came of it --------------------------------------------------------------------------

    def run(self, id: str) -> Run | None:
        return self.wiring.store.load(id)

    def wait_for(self, ids: Sequence[str], within: float = 120) -> list[Run]:
        def ended() -> list[Run]:
            found = [run for run in map(self.run, ids) if run is not None and run.finished]
            return found if len(found) == len(ids) else []

        try:
            return wait_until(ended, within, "every run ends", poll=0.1)
        except AssertionError as error:
            open_ = {id[:8]: str(run and {n: s.status.value for n, s in run.stages.items()}) for id in ids
                     if not ((run := self.run(id)) and run.finished)}  # fmt: skip
            raise AssertionError(f"{error}: {open_}") from None

    def effects_done(self) -> Counter[str]:
        """``run stage attempt-number`` to how often it was done."""
        return Counter(self.effects.read_text().splitlines())

    def messages(self) -> list[Any]:
        return self.workspace.messages(CHANNEL)

    def wait_for_messages(self, count: int, within: float = 60) -> list[Any]:
        """Until so many messages are there and none is about something unfinished any more."""

        def told() -> bool:
            found = self.messages()
            return len(found) >= count and all("succe" in str(each).lower() for each in found)

        wait_until(told, within, f"{count} messages that say how it ended", poll=0.1)
        return self.messages()


def check_each_thing_once(system: System, runs: Sequence[Run]) -> None:
    """Every run succeeded; every attempt's effect happened at most once, and those that counted exactly once."""
    done = system.effects_done()
    twice = {effect: count for effect, count in done.items() if count > 1}
    assert not twice, f"done twice: {twice}"
    for run in runs:
        outcomes = {
            name: (each.outcome and each.outcome.value, each.reason) for name, each in run.stages.items()
        }
        assert run.outcome is not None
        assert run.outcome.value == "success", outcomes
        for stage, task in run.tasks():
            last = task.current
            assert last is not None
            assert done[f"{run.id} {stage.name} {last.number}"] == 1
        check_attested(system, run)


def check_attested(system: System, run: Run) -> None:
    """Each result that counted is attested once, by the server's key, with what can be derived of it again."""
    attesting = system.wiring.attesting
    believed = believe(attesting.keys)
    kept = {each.attempt: each for each in system.wiring.store.attestations(run.id)}
    counted = {each.id for _, task in run.tasks() for each in task.attempts if each.by == "agent"}
    assert set(kept) == counted
    for attempt, each in kept.items():
        assert believed.open(each.signed()) == statement(run, attempt, attesting.maker)
