"""Parts for a job in a process of its own: a bus that is a folder, where each publish becomes a file."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from agents.sdk.resident import Parts
from tests.agents.sdk.hosts import BoundSecrets, Now, agents
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.claims import FileClaims
from turnout.core.envelope import Record, open_record
from turnout.core.messages import Message, parse
from turnout.core.ports import Bus, Producer


class FolderProducer:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        path = self.folder / f"{time.time_ns()}-{os.getpid()}"
        path.with_suffix(".part").write_bytes(pickle.dumps(list(records)))
        path.with_suffix(".part").rename(path)

    def close(self) -> None:
        pass


class FolderBus:
    """Only the producing end: a job consumes nothing."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def producer(self) -> Producer:
        return FolderProducer(self.folder)


def said(folder: Path) -> list[Message]:
    """Every message, duplicates (by envelope id) left out."""
    found: dict[str, Message] = {}
    for path in sorted(folder.glob("*")):
        if path.suffix != ".part":
            for record in pickle.loads(path.read_bytes()):
                envelope = open_record(record)
                found.setdefault(envelope.id, parse(envelope))
    return list(found.values())


def parts() -> Parts:
    home = Path(os.environ["TURNOUT_HOME"])
    return Parts(
        bus=cast(Bus, FolderBus(home / "bus")),
        claims=FileClaims(home / "claims"),
        artifacts=FileArtifacts(home / "artifacts"),
        secrets=BoundSecrets({}),
        clock=Now(),
        home=home,
        agents=agents(),
    )
