"""Documentation that is generated from the code: ``python -m turnout.documents [--check]``."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from turnout.adapters.settings import describe
from turnout.core.diagram import state_diagrams
from turnout.core.topics import DAY, HOUR, TOPICS

DOCS = Path(__file__).resolve().parents[1] / "docs"


def documents() -> Mapping[str, str]:
    """File name under docs/ to its text."""
    return {"states.md": state_diagrams(), "settings.md": _settings(), "topics.md": _topics()}


def _settings() -> str:
    return (
        "# Settings\n\nEnvironment variables, read at start and checked all together. Any of them may be given as a "
        "file: `TURNOUT_WEBHOOK_SECRET_FILE=/run/secrets/hook`. Durations are in seconds. Written by `make docs`.\n\n"
        + describe()
    )


def _topics() -> str:
    rows = ["| topic | key | partitions | kept | what |", "| --- | --- | --- | --- | --- |"]
    for each in TOPICS:
        kept = f"{each.retention // DAY} days" if each.retention >= DAY else f"{each.retention // HOUR} hours"
        rows.append(f"| `{each.name}` | {each.key} | {each.partitions} | {kept} | {each.purpose} |")
    return (
        "# Topics\n\nThe one table (`turnout/core/topics.py`), written by `make docs`.\n\n"
        + "\n".join(rows)
        + "\n"
    )


def main(arguments: list[str]) -> int:
    """0; with ``--check`` 1 when a file is not what the code says."""
    stale = [name for name, text in documents().items() if _read(name) != text]
    if "--check" in arguments:
        for name in stale:
            sys.stderr.write(f"docs/{name} is not current; run `make docs`\n")
        return int(bool(stale))
    DOCS.mkdir(exist_ok=True)
    for name in stale:
        (DOCS / name).write_text(documents()[name])
    return 0


def _read(name: str) -> str:
    try:
        return (DOCS / name).read_text()
    except FileNotFoundError:
        return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
