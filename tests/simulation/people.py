"""Those who ask for something from outside: GitHub, which delivers, and people at bad moments."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.simulation.doorway import Answer, Asked
from tests.simulation.faults import Fault
from tests.simulation.scenario import Act, Push, change_of
from tests.simulation.wires import Wire
from turnout.commanding import Commands
from turnout.core import messages as m
from turnout.core.envelope import Record
from turnout.core.errors import TransientError
from turnout.core.ids import derive
from turnout.core.model import Outcome
from turnout.core.policy import gateway_token
from turnout.core.posting import Answered
from turnout.core.result import Result
from turnout.core.run import Run, StageStatus
from turnout.core.topics import AGENT_RESULTS, PIPELINE_EVENTS
from turnout.webhook import sign

if TYPE_CHECKING:
    from tests.simulation.world import World

SECRET = b"the webhook's secret"


def deliver(world: World, wire: Wire, push: Push) -> None:
    """GitHub's side of one delivery: once, and again when it is asked for it, or until it is accepted; and now and then
    once more after that."""
    body = json.dumps({"id": push.id}).encode()
    headers = {
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": f"d-{push.id}",
        "X-Hub-Signature-256": sign(SECRET, body),
    }
    kernel, guid = world.kernel, headers["X-GitHub-Delivery"]
    kernel.sleep(max(0.0, push.at - kernel.now))
    for again in (push.at, *push.doubled):
        kernel.sleep(max(0.0, again - kernel.now))
        while True:
            reply = world.network.ask(wire, "webhook", (headers, body), 10.0)
            accepted = isinstance(reply, Answered) and reply.status < 300
            world.tries.note(guid, reply.status if isinstance(reply, Answered) else 0)
            if world.story is not None:
                said = f"is told yes to {push.id}" if accepted else f"is not told yes to {push.id}: {reply}"
                world.tell("github", f"{said} ({push.kind}, {push.pipeline}, {push.repository})")
            if accepted:
                world.accepted[push.id] = None
                break
            if not world.scenario.once:
                kernel.sleep(2.0 + 10.0 * wire.process.chance.random())
            elif not _asked_again(world, guid):
                world.accepted[push.id] = None  # it came, and the answer was lost
                break
    world.busy -= 1


def _asked_again(world: World, guid: str) -> bool:
    """Waits for it. False: it has come."""
    while guid not in world.tries.wanted:
        if world.missed.known({guid}):
            return False
        world.kernel.sleep(1.0)
    world.tries.wanted.discard(guid)
    return True


def act(world: World, wire: Wire, wanted: Act) -> None:
    """One thing that a person does, to a run as it is when they look."""
    kernel = world.kernel
    kernel.sleep(wanted.at)
    try:
        _act(world, wire, wanted)
    except TransientError as error:
        world.tell(wanted.by, f"hears that it can't be done now: {error}")
    world.busy -= 1


def _act(world: World, wire: Wire, wanted: Act) -> None:
    store = world.store_of(wire)
    commands = Commands(store, world.outbox_of(wire), wire.process)
    undoing = _undoing(world) if wanted.what == "cancel-undoing" else ""
    rows = store.runs()
    if wanted.what == "cancel-undoing":
        rows = [row for row in rows if row.id == undoing]
    if not rows:
        return
    run = store.load(rows[wanted.run % len(rows)].id)
    assert run is not None
    by = wanted.by
    if world.story is not None:
        world.tell(by, f"asks for {wanted.what} of run {run.id[:4]}, which is {run.status.value}")
    match wanted.what:
        case "cancel" | "cancel-undoing":
            commands.cancel(run, by, "not wanted any more")
        case "rerun":
            commands.rerun(run, by)
        case "rerun-failed":
            commands.rerun(run, by, failed=True)
        case "rerun-stage":
            commands.rerun(run, by, stage=min(run.stages, default=""))
        case "manual":
            commands.request_run(run.change, by)
        case "approve" | "reject":
            waiting = [each for each in run.stages.values() if each.status is StageStatus.WAITING]
            for stage in waiting or list(run.stages.values())[-1:]:
                decide = commands.approve if wanted.what == "approve" else commands.reject
                decide(run, stage.name, by)
        case "forge":
            _forge(world, wire, run)
        case other:
            raise AssertionError(other)


PATIENT = 60
"""Seconds that somebody watches for a rollback."""


def _undoing(world: World) -> str:
    """A run that is being rolled back, empty: none was, for as long as somebody looked."""
    for _ in range(PATIENT):
        for run in world.watch.states.values():
            undone = (stage.rollback for stage in run.stages.values())
            if not run.finished and any(each is not None and each.outcome is None for each in undone):
                return run.id
        world.kernel.sleep(1.0)
    return ""


def _forge(world: World, wire: Wire, run: Run) -> None:
    """Somebody who can write to the topics, but has no key: results for what runs, and what is no message at all."""
    at = wire.process.now()
    records = []
    for stage, task in run.tasks():
        if task.current is not None:
            result = Result(outcome=Outcome.SUCCESS, summary="forged", outputs={"by": task.current.id})
            said = m.TaskFinished(
                run=run.id,
                task=task.id,
                attempt=task.current.id,
                token="f" * 64,
                worker="x",
                at=at,
                result=result,
            )
            id = derive("forged", stage.name, task.current.id, at.isoformat())
            records.append(m.wrap(said, id=id, source="/x", at=at).to_record(AGENT_RESULTS, run.id))
    _forge_passes(world, wire, run)
    mark = f"poison at {world.kernel.now:.3f}".encode()
    world.poison.append(mark)
    records.append(Record(PIPELINE_EVENTS, run.change.repository, mark))
    world.bus.producer().publish(records)


def _forge_passes(world: World, wire: Wire, run: Run) -> None:
    """And who reaches the gateway, and has passes of their own making, and those that were found of ended attempts."""
    result = Result(outcome=Outcome.SUCCESS, summary="forged")
    body = json.dumps({"result": result.to_json()}).encode()
    later = wire.process.now() + timedelta(hours=1)
    attempts = [each for _, task in run.tasks() for each in task.attempts]
    for each in attempts:
        signed = gateway_token(b"another key" if each.result is None else world.key, each.id, later)
        headers = {
            "Authorization": f"Bearer {signed}",
            "Turnout-Session": f"the session of {wire.process.name}",
        }
        for asked in (
            Asked("GET", f"/attempts/{each.id}", headers, b""),
            Asked("POST", f"/attempts/{each.id}/finished", headers, body),
        ):
            reply: object = world.network.ask(wire, "gateway", asked, 5.0)
            if isinstance(reply, Answer) and reply.status_code == 200:
                world.watch.fail("nobody gets in without a pass", f"{asked.method} {asked.path}")


__all__ = ["Fault", "act", "change_of", "deliver"]
