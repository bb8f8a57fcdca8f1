"""The ports: what the use cases need from the world, as protocols. Adapters and fakes implement them.

Errors: an adapter raises `TransientError` where trying again can help and `PermanentError` where not;
nothing else leaves an adapter on purpose.
"""

from __future__ import annotations

from turnout.core.ports.agents import Claims, ClaimState, Secrets, Signer, Source
from turnout.core.ports.artifacts import Artifacts, StoredArtifact, Uploads, UploadUrl
from turnout.core.ports.bus import Bus, Consumer, Position, Producer
from turnout.core.ports.jobs import JobPhase, JobRuntime, JobState, Launch, Launches
from turnout.core.ports.store import (
    AttemptRow,
    Commit,
    Delivery,
    EnvironmentRow,
    OutboxRow,
    ReportRow,
    RunFilter,
    RunRow,
    Store,
    StoredEvent,
)
from turnout.core.ports.time import Clock

__all__ = [
    "Artifacts",
    "AttemptRow",
    "Bus",
    "ClaimState",
    "Claims",
    "Clock",
    "Commit",
    "Consumer",
    "Delivery",
    "EnvironmentRow",
    "JobPhase",
    "JobRuntime",
    "JobState",
    "Launch",
    "Launches",
    "OutboxRow",
    "Position",
    "Producer",
    "ReportRow",
    "RunFilter",
    "RunRow",
    "Secrets",
    "Signer",
    "Source",
    "Store",
    "StoredArtifact",
    "StoredEvent",
    "UploadUrl",
    "Uploads",
]
