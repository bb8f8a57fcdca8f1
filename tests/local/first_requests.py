"""For each function a first request that makes it work, and what it answers: with a store of no runs."""

from __future__ import annotations

import json
from typing import NamedTuple

from turnout.webhook import sign


class First(NamedTuple):
    """A request, its answer's status, and what stands in that."""

    method: str
    path: str
    headers: dict[str, str]
    body: str
    status: int
    said: str


EVENT = {"ce-id": "m1", "ce-source": "/s", "ce-type": "turnout.run.cancel", "ce-specversion": "1.0"}
CANCEL = json.dumps({"run": "r1", "by": "ada"})
PING = json.dumps({"zen": "…"})
SIGNED = {
    "x-github-event": "ping",
    "x-github-delivery": "d1",
    "x-hub-signature-256": sign(b"k", PING.encode()),
}
ANSWERS: dict[str, First] = {
    "webhook": First("POST", "/", SIGNED, PING, 202, "pong"),
    "orchestrator": First("POST", "/", EVENT, CANCEL, 422, "no run r1"),
    "launcher": First("POST", "/", EVENT, CANCEL, 422, "is no message for the launcher"),
    "reporter": First("POST", "/", EVENT, CANCEL, 422, "is no message for the reporter"),
    "sweeper": First("POST", "/", {}, "", 200, "pruned"),
    "gateway": First("GET", "/attempts/a1/task", {"authorization": "Bearer x"}, "", 403, "wrong_pass"),
    "console": First("GET", "/sign-in", {}, "", 200, "Turnout"),
}
SETTINGS = {
    "TURNOUT_WEBHOOK_SECRET": "k",
    "TURNOUT_GITHUB_TOKEN": "t",
    "TURNOUT_SLACK_TOKEN": "t",
    "TURNOUT_SLACK_SIGNING_SECRET": "s",
    "TURNOUT_SMTP_URL": "smtp://localhost:25",
    "TURNOUT_GATEWAY_URL": "https://gateway.example",
    "TURNOUT_LAUNCHER_RUNTIMES": "docker,kubernetes,cloudrun,cloudbuild",
    "TURNOUT_AGENT_IMAGES": "registry.example/turnout-{agent}:1",
    "TURNOUT_CLOUDRUN_JOBS": "projects/p/locations/r/jobs/turnout-{agent}",
    "TURNOUT_CLOUDBUILD_PARENT": "projects/p/locations/r",
    "TURNOUT_CLOUDBUILD_SERVICE_ACCOUNT": "projects/p/serviceAccounts/a",
}
