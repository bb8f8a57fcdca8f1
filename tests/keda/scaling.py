"""Tasks wait on a real Kafka, a real KEDA scales the chart's Deployment, for each of its pods a real resident agent
does what that pod would, and all of them go again: ``python -m tests.keda.scaling``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from local.cluster import Cluster
from local.demo import push
from local.helm.table import CHART
from local.kafka.broker import Broker
from tests.contracts.job_runtime import a_task
from tests.infra.chart import RELEASE, helm
from tests.keda.installed import keda
from tests.waiting import wait_until
from turnout.adapters.kafka import KafkaBus
from turnout.adapters.kafka_settings import KafkaSettings
from turnout.adapters.system_clock import SystemClock
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.errors import TransientError
from turnout.core.ids import attempt_id, message_id
from turnout.core.model import Runtime
from turnout.core.topics import AGENT_RESULTS, agent_topic

KIND, TASKS, WORK = "script", 12, 8  # seconds that a task works
NAMESPACE = "turnout"


class Story:
    """What happened when, in seconds."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def tell(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {what}", flush=True)


class Workers:
    """A resident agent for each pod that there is; one whose pod goes is told to stop, and drains."""

    def __init__(self, cluster: Cluster, story: Story) -> None:
        self._cluster = cluster
        self._story = story
        self._folder = Path(tempfile.mkdtemp(prefix="turnout-keda-"))
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._leaving: dict[str, subprocess.Popen[bytes]] = {}

    def look(self) -> int:
        """How many pods there are."""
        pods = {each["metadata"]["name"]: each for each in self._cluster.pods(NAMESPACE)}
        for name, pod in pods.items():
            if name not in self._running and not pod["metadata"].get("deletionTimestamp"):
                self._running[name] = self._begin(name, pod["spec"]["containers"][0])
        for name in [each for each in self._running if each not in pods]:
            self._leaving[name] = self._running.pop(name)
            self._leaving[name].terminate()
        for name in [each for each, process in self._leaving.items() if process.poll() is not None]:
            self._story.tell(f"{name} has drained, status {self._leaving.pop(name).returncode}")
        return len(pods)

    @property
    def busy(self) -> bool:
        return bool(self._running or self._leaving)

    def _begin(self, name: str, container: Mapping[str, Any]) -> subprocess.Popen[bytes]:
        told = {each["name"]: each.get("value", name) for each in container["env"]}
        home = self._folder / name
        command = [each.replace("$(POD_NAME)", name) for each in container["command"]]
        with (self._folder / f"{name}.log").open("wb") as log:
            return subprocess.Popen(
                [sys.executable, "-m", *command],
                env=told | {"PATH": os.environ["PATH"], "TURNOUT_HOME": str(home), "HOME": str(self._folder)},
                stdout=log,
                stderr=log,
            )

    def show(self) -> None:
        """What the agents said, and KEDA."""
        for file in (*self._folder.glob("*.log"), *self._cluster.folder.glob("keda/*.log")):
            print(f"--- {file.name}", *file.read_text(errors="replace").splitlines()[-12:], sep="\n")

    def close(self) -> None:
        for each in (*self._running.values(), *self._leaving.values()):
            each.kill()
            each.wait(timeout=10)
        shutil.rmtree(self._folder, ignore_errors=True)


def repository(folder: Path) -> tuple[Path, str]:
    git = partial(push.git, folder)
    folder.mkdir()
    git("init", "--quiet", "--initial-branch=main")
    (folder / "a.txt").write_text("a\n")
    git("add", "--all")
    git("commit", "--quiet", "-m", "Sell tea")
    return folder, git("rev-parse", "HEAD")


def ask(bus: KafkaBus, origin: Path, sha: str) -> None:
    checkout = {"repository": "o/n", "clone_url": str(origin), "sha": sha, "ref": "refs/heads/main"}
    now = SystemClock().now()
    records = []
    for number in range(TASKS):
        attempt = attempt_id("run-1", f"task-{number}", 1)
        task = a_task(
            Runtime.PROCESS,
            f"task-{number}",
            attempt=attempt,
            options={"run": f"sleep {WORK}"},
            checkout=checkout,
        )
        envelope = m.wrap(task, id=message_id(task.type, attempt), source="test", at=now)
        records.append(envelope.to_record(agent_topic(KIND), attempt))
    producer = bus.producer()
    producer.publish(records)
    producer.close()


def finished(bus: KafkaBus) -> Counter[str]:
    """Outcomes, one for each result that was sent."""
    reader = bus.tail([AGENT_RESULTS], from_start=True)
    found: Counter[str] = Counter()
    quiet = 0
    while quiet < 3:
        received = reader.poll(1.0)
        quiet = 0 if received else quiet + 1
        for each in received:
            message = m.parse(open_record(each.record))
            if isinstance(message, m.TaskFinished):
                found[message.result.outcome.value] += 1
    reader.close()
    return found


def waiting(bus: KafkaBus) -> str:
    try:
        return str(sum(bus.lag(f"agents.{KIND}", [agent_topic(KIND)]).values()))
    except TransientError:  # the broker has no coordinator for the group before somebody joins one
        return "no"


def install(cluster: Cluster, bootstrap: str, folder: Path) -> None:
    values = {
        "images": {"turnout": "registry.example.org/ci/turnout:1"},
        "launcher": {"enabled": False},
        "kafka": {"bootstrap": bootstrap, "protocol": "PLAINTEXT", "mechanism": ""},
        "agents": {"kinds": {KIND: {}}, "sandbox": "none", "drain": 120},
        "scaling": {"interval": 2, "cooldown": 10},
    }
    (folder / "values.yaml").write_text(yaml.safe_dump(values))
    given = ["--namespace", NAMESPACE, "--values", str(folder / "values.yaml")]
    done = helm("install", RELEASE, str(CHART), *given, cluster=cluster)
    assert done.returncode == 0, done.stderr


def main() -> None:
    story = Story()
    with (
        tempfile.TemporaryDirectory(prefix="turnout-keda-") as made,
        Broker() as broker,
        Cluster() as cluster,
    ):
        folder = Path(made)
        bus = KafkaBus(KafkaSettings(bootstrap=broker.bootstrap))
        bus.ensure_topics()
        with keda(cluster):
            story.tell("KEDA looks after the cluster")
            cluster.namespace(NAMESPACE)
            install(cluster, broker.bootstrap, folder)
            workers = Workers(cluster, story)
            seen, told = -1, time.monotonic()

            def pods() -> int:
                nonlocal seen, told
                now = workers.look()
                if now != seen or time.monotonic() > told + 10:
                    story.tell(f"{now} pods, {waiting(bus)} tasks wait")
                    seen, told = now, time.monotonic()
                return now

            try:
                wait_until(lambda: pods() == 0, 90, "nothing waits, nothing runs", poll=0.3)
                ask(bus, *repository(folder / "origin"))
                story.tell(f"{TASKS} tasks of {WORK} s are asked for")
                wait_until(lambda: pods() >= 3, 120, "more pods come", poll=0.3)
                wait_until(lambda: pods() == 0 and not workers.busy, 150, "all pods are gone", poll=0.3)
            except AssertionError:
                workers.show()
                raise
            finally:
                workers.close()
        outcomes = finished(bus)
        story.tell(f"results: {dict(outcomes)}")
        assert outcomes == {"success": TASKS}, outcomes


if __name__ == "__main__":
    main()
