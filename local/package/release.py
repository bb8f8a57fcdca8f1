"""The notes of a release, where it is ready: ``python -m local.package.release notes v0.1.0``.

Status 1 where the tag is not the version that pyproject.toml and the chart have, or the change log tells nothing of it.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

import yaml

from turnout.core.errors import PermanentError

ROOT = Path(__file__).resolve().parents[2]


def notes(tag: str, root: Path = ROOT) -> str:
    """Raises: PermanentError saying what is not ready."""
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    if tag != f"v{version}":
        raise PermanentError(
            f"the tag is {tag}, and pyproject.toml says {version}", "tag the commit that says it"
        )
    for chart in sorted((root / "infra" / "helm").glob("*/Chart.yaml")):
        said = yaml.safe_load(chart.read_text())["version"]
        if said != version:
            raise PermanentError(
                f"{chart.relative_to(root)} says {said}, and not {version}", "change it there, too"
            )
    return section((root / "CHANGELOG.md").read_text(), version)


def section(log: str, version: str) -> str:
    """What the change log tells of a version. Raises: PermanentError where it is nothing, or has no date.

    Source: keepachangelog.com, 1.1.0.
    """
    found = re.search(
        rf"^## \[{re.escape(version)}\] - \d{{4}}-\d\d-\d\d\n(.*?)(?=^## |^\[[^]]+\]: |\Z)",
        log,
        re.MULTILINE | re.DOTALL,
    )
    if found is None or not found[1].strip():
        raise PermanentError(
            f"CHANGELOG.md tells nothing of {version}",
            f"give what is under `Unreleased` the heading `## [{version}] - YEAR-MONTH-DAY`",
        )
    return found[1].strip() + "\n"


def main(argv: Sequence[str]) -> int:
    if len(argv) != 2 or argv[0] != "notes":
        print("release: expected `notes TAG`", file=sys.stderr)
        return 2
    try:
        print(notes(argv[1]), end="")
    except PermanentError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
