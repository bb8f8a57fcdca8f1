"""A vulnerability database for Trivy that knows very little: for the demo, and for tests without the internet.

``python -m local.trivy.database DIR`` writes ``DIR/db/trivy.db`` and ``DIR/db/metadata.json``; give ``DIR`` to the
agents as ``TURNOUT_TRIVY_DATABASE``.
Source: github.com/aquasecurity/trivy-db, pkg/db (bucket names, schema version 2), pkg/types (what an advisory holds).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from local.trivy.bolt import Bucket, database

_SOURCES = {"pip": "GitHub Security Advisory Pip", "npm": "GitHub Security Advisory Npm"}
_SEVERITIES = ("UNKNOWN", "LOW", "MEDIUM", "HIGH", "CRITICAL")


@dataclass(frozen=True, slots=True)
class Advisory:
    """``fixed``: the first version without it, empty: there is none. ``severity`` in Trivy's words."""

    id: str
    ecosystem: Literal["pip", "npm"]
    package: str
    vulnerable: str
    fixed: str
    severity: str
    title: str
    url: str = ""


DEMO = (
    Advisory(
        id="CVE-2021-33503",
        ecosystem="pip",
        package="urllib3",
        vulnerable="<1.26.5",
        fixed="1.26.5",
        severity="HIGH",
        title="urllib3: an address with many @ signs makes its parser take very long",
        url="https://github.com/advisories/GHSA-q2q7-5pp4-w6pg",
    ),
)
"""All that the demo's database knows."""


def write(folder: Path, at: datetime, advisories: Sequence[Advisory] = DEMO) -> Path:
    """``at``: when the database says it was made. Returns ``folder``."""
    place = folder / "db"
    place.mkdir(parents=True, exist_ok=True)
    (place / "trivy.db").write_bytes(database(_content(advisories)))
    said = {"Version": 2, "NextUpdate": at + timedelta(days=1), "UpdatedAt": at, "DownloadedAt": at}
    (place / "metadata.json").write_text(json.dumps(said, default=_instant))
    return folder


def _content(advisories: Sequence[Advisory]) -> Bucket:
    known: dict[str, dict[str, dict[str, bytes]]] = {}
    sources: dict[str, bytes] = {}
    details: dict[str, bytes] = {}
    for each in advisories:
        source = f"{each.ecosystem}::{_SOURCES[each.ecosystem]}"
        sources[source] = _json(
            {"ID": "ghsa", "Name": _SOURCES[each.ecosystem], "URL": "https://github.com/advisories"}
        )
        known.setdefault(source, {}).setdefault(each.package, {})[each.id] = _json(
            {"PatchedVersions": [each.fixed] if each.fixed else [], "VulnerableVersions": [each.vulnerable]}
        )
        details[each.id] = _json({
            "Title": each.title,
            "Severity": each.severity,
            "VendorSeverity": {"ghsa": _SEVERITIES.index(each.severity)},
            "References": [each.url] if each.url else [],
        })  # fmt: skip
    return {**known, "data-source": sources, "vulnerability": details}


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def _instant(value: datetime) -> str:
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m local.trivy.database", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="DIR")
    folder = parser.parse_args(arguments).folder
    write(folder, datetime.now(UTC))
    print(f"{folder / 'db/trivy.db'} knows {', '.join(each.id for each in DEMO)}")


if __name__ == "__main__":
    main()
