"""A home in which there is something of everything: a run that waits for people, one that failed, logs, a file, a
delivery, a dead letter, a project file."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from tests.core.building import CHANGE, a_plan, stage
from turnout.adapters.settings import read_settings
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.dead_letters import dead_letter
from turnout.core.envelope import Received, Record
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan
from turnout.core.policy import attempt_token
from turnout.core.ports import Delivery
from turnout.core.result import Artifact, Result
from turnout.orchestration import Orchestrator, Planned
from turnout.wiring import Wiring, prepare

FILE = "reports/unit.xml"


def seeded(home: Path) -> Wiring:
    wiring = Wiring(read_settings({"TURNOUT_HOME": str(home), "TURNOUT_CONSOLE_HOSTS": "testserver"}))
    prepare(wiring.settings)
    (home / "projects").mkdir()
    (home / "projects" / "shop.yml").write_text(
        "project:\n  repository: acme/shop\n  clone_url: /nowhere\n  public_badge: true\n"
    )
    plan = a_plan(stage("test"), stage("ship", "test", approval=Approval()))
    for number, outcome in enumerate((Outcome.FAILURE, Outcome.SUCCESS)):
        _run(wiring, plan, f"t{number}", outcome)
    lost = Received(Record("pipeline.dlq", "acme/shop", b"{}", (("ce_id", b"1"),)), 0, 7, 0.0)
    at = datetime(2026, 1, 1, tzinfo=UTC)
    wiring.producer.publish([dead_letter(lost, group="functions", reason="no", status=422, tries=1, at=at)])
    return wiring


def _run(wiring: Wiring, plan: Plan, trigger: str, outcome: Outcome) -> None:
    """A run whose first stage has ended so."""
    orchestrator = Orchestrator(
        wiring.store,
        None,
        lambda request: Planned(request.change.repository, plan, request.change),
        wiring.clock,
        wiring.settings.key(),
    )
    now = wiring.clock.now()
    wiring.store.receive(Delivery(trigger, "github", "push", "acme/shop", "published", now, message=trigger))
    asked = m.RunRequested(trigger=trigger, change=CHANGE, delivery=trigger)
    run = orchestrator.handle(m.wrap(asked, id=trigger, source="/test", at=now)).run
    assert run is not None
    attempt = run.stages["test"].tasks["test"].attempts[0]
    wiring.artifacts.append(attempt_key(run.id, "test", 1), b"\x1b[31mone\x1b[0m\ntwo\n")
    kept = wiring.artifacts.put(attempt_key(run.id, "test", 1, FILE), b"<xml/>")
    file = Artifact(name=FILE, key=kept.key, size=kept.size, sha256=kept.sha256, media_type="text/xml")
    token = attempt_token(wiring.settings.key(), attempt.id)
    spoken = {"run": run.id, "task": "test", "attempt": attempt.id, "token": token, "worker": "w1"}
    result = Result(outcome=outcome, summary="said", artifacts=(file,))
    for message in (m.TaskStarted(**spoken, at=now), m.TaskFinished(**spoken, at=now, result=result)):
        orchestrator.handle(m.wrap(message, id=f"{trigger}-{message.type}", source="/test", at=now))
