"""The topics for Terraform, out of the one table: ``python -m local.terraform.topics`` writes them (`make docs`)."""

from __future__ import annotations

import json
from pathlib import Path

from turnout.core.topics import TOPICS

FILE = Path(__file__).resolve().parents[2] / "infra" / "terraform" / "topics.json"


def text() -> str:
    table = {
        each.name: {"partitions": each.partitions, "retention_seconds": each.retention} for each in TOPICS
    }
    return json.dumps(table, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
