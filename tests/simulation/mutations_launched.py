"""Defects of the gateway and of launched jobs, to be planted one at a time (see `tests.simulation.mutations`)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

import pytest

from agents.sdk import remote
from agents.sdk.remote_client import NotWanted
from agents.sdk.remote_log import RemoteLog
from tests.simulation import launched
from tests.simulation.scenario import GATED, Scenario
from turnout import gateway as g
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import TransientError, TurnoutError
from turnout.core.ports import StoredArtifact
from turnout.core.run import TaskStatus
from turnout.gateway import gateway as use_case
from turnout.gateway.uploads import Keeping
from turnout.gateway.visits import mark_of

Patch = pytest.MonkeyPatch
Plant = Callable[[Patch], None]


def has_gated_jobs(scenario: Scenario) -> bool:
    """Whether anything of this world goes through the gateway."""
    return any(
        each.kind == "run" and any(stage.runtime is GATED for stage in scenario.plan(each).stages)
        for each in scenario.pushes
    )


def no_sessions(patch: Patch) -> None:
    def anybodys(self: g.Visit) -> str:
        return "waiting" if self.task.status is TaskStatus.LAUNCHED else "yours"

    patch.setattr(g.Visit, "state", property(anybodys))


def one_session(patch: Patch) -> None:
    patch.setattr(launched, "mark_of", lambda _session: "~the same")
    patch.setattr(use_case, "mark_of", lambda _session: "~the same")


def start_not_awaited(patch: Patch) -> None:
    def hasty(self: remote.RemoteProducer, message: Any) -> None:
        self.client.post("started", {"worker": message.worker, "sandbox": ""})
        self.heard.recorded.set()
        self.pulse.start()

    patch.setattr(remote.RemoteProducer, "_started", hasty)


def second_start_goes_on(patch: Patch) -> None:
    ask = remote.RemoteProducer._started

    def stubborn(self: remote.RemoteProducer, message: Any) -> None:
        try:
            ask(self, message)
        except NotWanted:
            self.heard.recorded.set()

    patch.setattr(remote.RemoteProducer, "_started", stubborn)


def granted_to_whoever_asks(patch: Patch) -> None:
    start_not_awaited(patch)
    patch.setattr(g.Visit, "must_own", lambda _self: None)


def no_passes(patch: Patch) -> None:
    patch.setattr(use_case, "check_gateway_token", lambda *_: "valid")


def open_afterwards(patch: Patch) -> None:
    enter = g.Gateway.enter

    def lax(self: g.Gateway, attempt: str, token: str, session: str) -> g.Visit:
        try:
            return enter(self, attempt, token, session)
        except g.NotWanted:
            run = self.store.load(self.store.run_of(attempt))
            found = run.attempt(attempt) if run else None
            assert run is not None
            assert found is not None
            return g.Visit(run, found[1], found[2], "script", mark_of(session))

    patch.setattr(g.Gateway, "enter", lax)


def _log_of(visit: g.Visit) -> str:
    return attempt_key(visit.run.id, visit.task.id, visit.attempt.number)


def log_at_any_offset(patch: Patch) -> None:
    def append(self: Keeping, visit: g.Visit, offset: int, content: bytes) -> int:
        self.artifacts.append(_log_of(visit), content)
        return offset + len(content)

    patch.setattr(Keeping, "append", append)


def log_in_two_steps(patch: Patch) -> None:
    def append(self: Keeping, visit: g.Visit, offset: int, content: bytes) -> int:
        have = self.artifacts.size(_log_of(visit))
        if offset > have:
            raise g.Gap(have)
        self.artifacts.append(_log_of(visit), content[have - offset :])
        return offset + len(content)

    patch.setattr(Keeping, "append", append)


def log_goes_on_at_a_gap(patch: Patch) -> None:
    send = RemoteLog._send

    def hasty(self: RemoteLog) -> None:
        try:
            send(self)
        except TransientError:
            self._sent = min(self._written, self._sent + launched.PIECE)
            raise

    patch.setattr(RemoteLog, "_send", hasty)


def log_not_awaited(patch: Patch) -> None:
    patch.setattr(RemoteLog, "flush", lambda _self, _timeout: True)


def artifacts_said_to_be_kept(patch: Patch) -> None:
    def careless(
        self: remote.RemoteArtifacts, key: str, content: bytes, media_type: str = ""
    ) -> StoredArtifact:
        try:
            self._client.post("artifacts", {"name": key, "size": len(content)})
        except TurnoutError:
            pass
        return StoredArtifact(key, len(content), hashlib.sha256(content).hexdigest())

    patch.setattr(remote.RemoteArtifacts, "put", careless)


def no_pulse(patch: Patch) -> None:
    patch.setattr(remote.Pulse, "_work", lambda _self: None)


LAUNCHED: dict[str, Plant] = {
    "the gateway does not tell the jobs of an attempt apart": no_sessions,
    "all jobs of an attempt have one session": one_session,
    "a job does not wait until its start is recorded": start_not_awaited,
    "a job that was not the first to start goes on": second_start_goes_on,
    "secrets are handed out before a start is recorded": granted_to_whoever_asks,
    "the gateway does not look at passes": no_passes,
    "the gateway takes what comes after the end of an attempt": open_afterwards,
    "a piece of a log is added wherever it belongs": log_at_any_offset,
    "a gateway looks how long a log is, and adds to it afterwards": log_in_two_steps,
    "a job takes a piece of its log for sent that was not acknowledged": log_goes_on_at_a_gap,
    "a job says its result before the end of its log is through": log_not_awaited,
    "a job says that an artifact is kept when nobody has said so": artifacts_said_to_be_kept,
    "a job that works does not say that it lives": no_pulse,
}
