"""What the images say of themselves. Source: the OCI image specification, annotations.md."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from pathlib import Path

LICENSE = "Apache-2.0"
BASE = "python:3.11-slim-bookworm"
"""What all stand on, where nothing else is named: as the Dockerfiles have it."""


@dataclass(frozen=True)
class Commit:
    sha: str
    seconds: int
    changed: bool
    source: str = ""

    @property
    def tag(self) -> str:
        return self.sha[:12] + ("-changed" if self.changed else "")


def labels(commit: Commit, title: str, dockerfile: Path, base: str = "") -> dict[str, str]:
    """The same for the same commit. What it is, is said in the first words of its Dockerfile. ``base``: what was named
    for it; with its digest, if it was named by that. Of an agent's it is what all that it stands on began with."""
    named, _, digest = (base or BASE).partition("@")
    known = {
        "base.digest": digest,
        "base.name": named,
        "created": datetime.fromtimestamp(commit.seconds, UTC).isoformat().replace("+00:00", "Z"),
        "description": _description(dockerfile),
        "licenses": LICENSE,
        "revision": commit.sha,
        "source": commit.source,
        "title": title,
        "version": commit.tag,
    }
    return {f"org.opencontainers.image.{name}": value for name, value in known.items() if value}


def _description(dockerfile: Path) -> str:
    comment = takewhile(lambda line: line.startswith("#"), dockerfile.read_text().splitlines())
    return " ".join(line.removeprefix("#").strip() for line in comment).partition(". ")[0].rstrip(".")
