"""Parts for tests of the SDK: a home, a repository, a task, an attempt host without a bus."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from agents.sdk.forkserver import ForkServer
from agents.sdk.hosting import AttemptHost
from agents.sdk.live import Live
from tests.agents.sdk import probes
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.claims import FileClaims
from turnout.adapters.memory_bus import MemoryBus
from turnout.core.artifact_keys import attempt_key
from turnout.core.envelope import open_record
from turnout.core.errors import PermanentError
from turnout.core.ids import attempt_id
from turnout.core.messages import Checkout, Message, TaskFinished, TaskRequested, parse
from turnout.core.ports import Consumer
from turnout.core.result import Result


class Now:
    def now(self) -> datetime:
        return datetime.now(UTC)


class BoundSecrets:
    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.asked: list[tuple[str, str, Sequence[str]]] = []

    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        self.asked.append((project, environment, names))
        missing = [name for name in names if name not in self.values]
        if missing:
            raise PermanentError(f"not bound: {', '.join(missing)}", "bind them in the project file")
        return self.values  # more than was asked for: the worker hands on only what the task names


@dataclass
class Bench:
    """Everything one worker needs, on disk under ``home``."""

    home: Path
    bus: MemoryBus
    claims: FileClaims
    artifacts: FileArtifacts
    secrets: BoundSecrets
    host: AttemptHost
    origin: Path
    sha: str

    def task(self, agent: str, number: int = 1, **more: Any) -> TaskRequested:
        task = more.pop("task", agent)
        checkout = more.pop("checkout", {})
        known: dict[str, Any] = {
            "run": "run-1",
            "project": "team/app",
            "stage": task,
            "task": task,
            "agent": agent,
            "attempt": attempt_id("run-1", task, number),
            "number": number,
            "token": "t0ken",
            "timeout": 30.0,
            "heartbeat": 5.0,
            "checkout": Checkout.model_validate(
                {
                    "repository": "team/app",
                    "clone_url": str(self.origin),
                    "sha": self.sha,
                    "ref": "refs/heads/main",
                    "branch": "main",
                    **checkout,
                }
            ),
        }
        return TaskRequested.model_validate(known | more)

    def run(self, agent: str, **more: Any) -> Result:
        """An attempt from beginning to end, without a bus."""
        return self.finish(self.task(agent, **more)).result

    def finish(self, task: TaskRequested) -> TaskFinished:
        return self.host.begin(task).run()

    def log(self, task: str, number: int = 1) -> str:
        return self.artifacts.get(attempt_key("run-1", task, number)).decode()

    def said(self, topic: str) -> list[Message]:
        return said(self.bus, topic)


def said(bus: MemoryBus, topic: str) -> list[Message]:
    """Every message of the topic so far, duplicates (by envelope id) left out, as its readers do."""
    tail: Consumer = bus.tail([topic], from_start=True)
    found: dict[str, Message] = {}
    while records := tail.poll(0):
        for each in records:
            envelope = open_record(each.record)
            found.setdefault(envelope.id, parse(envelope))
    return list(found.values())


KINDS = (
    "shell", "quick", "capture", "quiet", "leak", "keep", "look_around", "missing", "refuse", "break_down",
    "no_room", "die", "ponder", "sulk", "caches", "reporter", "undo", "private_file",
)  # fmt: skip


def agents(kinds: Sequence[str] = KINDS) -> dict[str, str]:
    return {kind: f"{probes.__name__}:{kind}" for kind in kinds}


@contextmanager
def bench(home: Path, origin: Path, sha: str, *, sandbox: str = "none", **more: Any) -> Iterator[Bench]:
    bus = MemoryBus()
    claims = FileClaims(home / "claims")
    artifacts = more.pop("artifacts", None) or FileArtifacts(home / "artifacts")
    secrets = BoundSecrets({"TOKEN": "hunter2hunter2", "OTHER": "never named"})
    given: ForkServer | None = more.pop("forks", None)
    forks = given or ForkServer(sorted(agents().values()), sandbox)
    live = Live(bus.producer())
    host = AttemptHost(
        forks=forks,
        agents=agents(),
        live=live,
        claims=claims,
        artifacts=artifacts,
        secrets=secrets,
        clock=Now(),
        home=home,
        worker="bench",
        sandbox=sandbox,
        **{"grace": 0.5, "fetch_again": (0.1,), **more},
    )
    if given is None:
        forks.start()
    try:
        yield Bench(home, bus, claims, artifacts, secrets, host, origin, sha)
    finally:
        if given is None:
            forks.close()
        live.close()
        claims.close()


def in_thread(target: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=target, args=arguments, daemon=True)
    thread.start()
    return thread
