"""Runs whose results are attested, in memory: pushed, ended task by task, and the task that a deploy is handed."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from tests.core.building import CHANGE, a_plan, stage
from tests.test_orchestration import FakeClock, FakeProducer
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.settings import ed25519_pem
from turnout.adapters.signing import SigningKey
from turnout.attesting import Attesting
from turnout.core import messages as m
from turnout.core.attestation import Maker
from turnout.core.dsse import Signature, Signed
from turnout.core.ids import run_id
from turnout.core.images import Images
from turnout.core.model import Outcome
from turnout.core.plan import Plan
from turnout.core.policy import attempt_token
from turnout.core.ports import Store
from turnout.core.result import Result
from turnout.core.run import Run
from turnout.orchestration import Orchestrator, Planned

KEY = SigningKey(ed25519_pem(b"the key that is in use, 32 bytes"))
OLD_KEY = SigningKey(ed25519_pem(b"the key of before, also 32 bytes"))
IMAGE, OTHER = f"sha256:{'a' * 64}", f"sha256:{'b' * 64}"
BUILT = {"image": "registry.example.org/shop:main", "digest": IMAGE, "tags": "main"}
_SERVER = b"server key"


def delivery(*asked: str, digest: str = "d" * 64, **more: Any) -> Plan:
    """test and build, security, deploy; ``asked``: what the environment of the deploy asks for."""
    return a_plan(
        stage("test", agent="test"),
        stage("build", "test", agent="build", retries=1),
        stage("security", "build", agent="security", **more),
        stage("deploy", "security", agent="deploy", environment="production", attested=asked),
    ).with_(digest=digest)


@dataclass
class Works:
    """``attesting`` may be replaced: by one with another key, or none."""

    store: Store = field(default_factory=MemoryStore)
    key: SigningKey | None = KEY
    believed: tuple[str, ...] = ()
    clock: FakeClock = field(default_factory=FakeClock)
    producer: FakeProducer = field(default_factory=FakeProducer)
    project: str = "acme/shop"
    plan: Plan = field(default_factory=delivery)
    _heard: int = 0

    @property
    def attesting(self) -> Attesting:
        maker = Maker("https://ci.example.org", "1.2.3", Images("registry.example.org/{agent}:1"))
        return Attesting(self.store, self.key, maker, self.believed)

    @property
    def orchestrator(self) -> Orchestrator:
        return Orchestrator(
            self.store, self.producer, self._planned, self.clock, _SERVER, attesting=self.attesting
        )

    def _planned(self, request: m.RunRequested) -> Planned:
        return Planned(self.project, self.plan, request.change)

    def push(self, plan: Plan | None = None, trigger: str = "t1", **change: Any) -> Run:
        self.plan = plan or self.plan
        self.clock.forward(1)
        self._hear(m.RunRequested(trigger=trigger, change=CHANGE.with_(**change)), id=trigger)
        return self.run(trigger)

    def rerun(self, run: Run, trigger: str, mode: Any = "failed") -> Run:
        self.clock.forward(1)
        self._hear(m.RerunRun(run=run.id, trigger=trigger, mode=mode, by="ada"))
        return self.run(trigger)

    def run(self, trigger: str = "t1") -> Run:
        found = self.store.load(run_id(trigger))
        assert found is not None
        return found

    def ends(self, run: Run, task: str, outcome: Outcome = Outcome.SUCCESS, **more: Any) -> Run:
        found = self.store.load(run.id)
        assert found is not None
        attempt = next(each.current.id for _, each in found.tasks() if each.id == task and each.current)
        spoken = {
            "run": run.id, "task": task, "attempt": attempt, "worker": "w1", "token": attempt_token(_SERVER, attempt)
        }  # fmt: skip
        self.clock.forward(1)
        self._hear(m.TaskStarted(**spoken, at=self.clock.now(), sandbox="bubblewrap"))
        self.clock.forward(1)
        self._hear(m.TaskFinished(**spoken, at=self.clock.now(), result=Result(outcome=outcome, **more)))
        after = self.store.load(run.id)
        assert after is not None
        return after

    def delivers(self, run: Run, **built: str) -> m.TaskRequested:
        """Everything before the deploy ends well; the deploy's task."""
        self.ends(run, "test")
        self.ends(run, "build", outputs=built or BUILT)
        self.ends(run, "security")
        return self.handed("deploy")

    def handed(self, stage: str) -> m.TaskRequested:
        """The newest task of that stage, as it went out."""
        found = [each for each in self.producer.messages(m.TaskRequested) if each.stage == stage]
        task: m.TaskRequested = found[-1]
        return task

    def _hear(self, message: m.Message, id: str = "") -> None:
        self._heard += 1
        at = self.clock.now()
        self.orchestrator.handle(m.wrap(message, id=id or f"m{self._heard}", source="/test", at=at))


def changed(task: m.TaskRequested, change: Callable[[Signed], Signed], stage: str) -> m.TaskRequested:
    """The task with the envelopes of one stage changed."""
    assert task.attested is not None
    statements = tuple(
        change(each) if said(each)["predicate"]["stage"] == stage else each
        for each in task.attested.statements
    )
    assert statements != task.attested.statements
    return task.with_(attested=task.attested.with_(statements=statements))


def said(signed: Signed) -> Any:
    return json.loads(signed.content())


def altered(signed: Signed, before: str, after: str) -> Signed:
    """With other words in the payload, and the signature that it had."""
    text = signed.content().decode()
    assert before in text
    return signed.with_(payload=base64.b64encode(text.replace(before, after).encode()).decode())


def resigned(signed: Signed, key: SigningKey, *, claimed: str = "") -> Signed:
    """Signed anew by another key, which may claim to be ``claimed``."""
    sig = key.sign(signed.content().decode())
    return signed.with_(signatures=(Signature(keyid=claimed or key.keyid, sig=sig),))


def envelopes(store: Store, run: Run) -> list[Signed]:
    return [each.signed() for each in store.attestations(run.id)]


def tampered(store: MemoryStore, run: Run, stage: str, before: str, after: str) -> None:
    """Somebody writes to the store who has not the key."""
    for key, each in store._attestations.items():
        if each.run == run.id and json.loads(each.payload)["predicate"]["stage"] == stage:
            assert before in each.payload
            store._attestations[key] = replace(each, payload=each.payload.replace(before, after))
