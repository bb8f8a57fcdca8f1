"""A gateway over an orchestrator in memory, for its tests."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.core.building import a_plan, stage
from tests.test_orchestration import KEY, World
from turnout import gateway as g
from turnout.adapters.artifacts import FileArtifacts
from turnout.core.artifact_keys import attempt_key
from turnout.core.envelope import open_record
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.core.plan import Plan
from turnout.core.policy import gateway_token
from turnout.core.result import Result
from turnout.core.topics import AGENT_RESULTS
from turnout.gateway import Announced, Answer, Gateway, Limits, Start

JOB, SECOND = "the session of one job", "the session of another"
PLAN = a_plan(stage("test", retries=1, secrets=("TOKEN",), environment="staging"))


class Bound:
    """Binds ``TOKEN`` and one that nobody names."""

    def resolve(self, project: str, environment: str, names: Sequence[str]) -> Mapping[str, str]:
        if missing := [name for name in names if name != "TOKEN"]:
            raise PermanentError(f"no value is bound for {missing}")
        return {"TOKEN": f"hunter2 of {project} {environment}", "OTHER": "never named"}


class House:
    """A world, its gateway, and what its topics bring back to the orchestrator when `settle` is called."""

    def __init__(self, folder: Path, plan: Plan = PLAN, **limits: Any) -> None:
        self.world = World(plan)
        self.world.push()
        self.artifacts = FileArtifacts(folder / "artifacts")
        self.gateway = Gateway(
            self.world.store,
            self.world.producer,
            self.artifacts,
            Bound(),
            self.world.clock,
            KEY,
            Limits(**limits),
            lambda task: g.CheckoutCredential(username="x-token", password=f"for {task.checkout.repository}"),
        )
        self._heard = 0

    @property
    def attempt(self) -> str:
        current = self.world.run().stages["test"].tasks["test"].current
        assert current is not None
        return current.id

    def token(self, attempt: str = "", lifetime: float = 3600) -> str:
        expires = self.world.clock.now() + timedelta(seconds=lifetime)
        return gateway_token(KEY, attempt or self.attempt, expires)

    def visit(self, session: str = JOB, attempt: str = "") -> g.Visit:
        attempt = attempt or self.attempt
        return self.gateway.enter(attempt, self.token(attempt), session)

    def settle(self) -> None:
        """The orchestrator takes what has been said so far."""
        said = [each for each in self.world.producer.records if each.topic == AGENT_RESULTS]
        for record in said[self._heard :]:
            self.world.orchestrator.handle(open_record(record))
        self._heard = len(said)

    def start(self, session: str = JOB) -> g.Visit:
        self.gateway.started(self.visit(session), Start(worker="job-1", sandbox="none"))
        self.settle()
        return self.visit(session)

    def finish(self, outcome: Outcome = Outcome.SUCCESS) -> None:
        self.gateway.finished(self.visit(), Answer(result=Result(outcome=outcome)))
        self.settle()

    def log(self) -> str:
        run = self.world.run()
        return self.artifacts.get(attempt_key(run.id, "test", 1)).decode()


def announced(content: bytes, name: str = "report.xml", **more: Any) -> Announced:
    known = {"name": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    return Announced.model_validate(known | more)
