"""Writes what ``importlib.metadata`` reads of a library that lies on the path and is not installed: name and version.

``metadata.py PYPROJECT FOLDER``; of the standard library alone, as it runs while the image is built.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path


def metadata(pyproject: Path) -> tuple[str, str]:
    """The file's name, and what it says."""
    project = tomllib.loads(pyproject.read_text())["project"]
    name, version = project["name"], project["version"]
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    return f"{name}-{version}.dist-info/METADATA", said


def main(pyproject: str, folder: str) -> None:
    name, said = metadata(Path(pyproject))
    file = Path(folder) / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(said)


if __name__ == "__main__":
    main(*sys.argv[1:])
