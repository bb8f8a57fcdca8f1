"""A resident worker in a process of its own, on the embedded log: ``HOME NAME`` as arguments."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from agents.sdk.resident import Parts, ResidentAgents
from tests.agents.sdk.hosts import BoundSecrets, Now, agents
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.claims import FileClaims
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.sql_store import open_store
from turnout.core.topics import TOPICS, Topic, agent_topic

KINDS = ("shell",)
PROBES = (*TOPICS, Topic(agent_topic("shell"), "attempt id", 2, 3600, "tasks of the probe"))


def bus(home: Path) -> EmbeddedBus:
    made = EmbeddedBus(open_store(f"sqlite:///{home}/turnout.db", embedded=True).database, topics=PROBES)
    made.ensure_topics()
    return made


def main(home: Path, name: str) -> None:
    parts = Parts(
        bus=bus(home),
        claims=FileClaims(home / "claims"),
        artifacts=FileArtifacts(home / "artifacts"),
        secrets=BoundSecrets({}),
        clock=Now(),
        home=home,
        agents=agents(KINDS),
    )
    resident = ResidentAgents(parts, KINDS, worker=name, slots=2, sandbox="none", grace=0.3)
    signal.signal(signal.SIGTERM, lambda *_: resident.stop())
    resident.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
