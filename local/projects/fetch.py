"""From a registry to a git repository: fetched with the registry's own client, checked, unpacked, committed."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from agents.sdk.untar import untar
from local.projects.table import Published
from turnout.core.errors import PermanentError, TransientError

_COMMIT = {  # the same archive gives the same commit
    "GIT_AUTHOR_NAME": "Turnout",
    "GIT_AUTHOR_EMAIL": "turnout@example.org",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Turnout",
    "GIT_COMMITTER_EMAIL": "turnout@example.org",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
    "GIT_CONFIG_GLOBAL": os.devnull,
}


def archive(project: Published, cache: Path) -> Path:
    """Raises: TransientError when the registry does not answer; PermanentError when it sent something else."""
    path = cache / project.archive
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            _fetch(project, Path(folder))
            found = Path(folder) / project.archive
            if not found.exists():
                raise PermanentError(
                    f"{project.name}: the registry sent no {project.archive}", "correct the table"
                )
            found.rename(path)
    actual = hashlib.sha256(path.read_bytes()).hexdigest()
    if actual != project.sha256:
        raise PermanentError(
            f"{project.archive}: its SHA-256 is {actual}, not {project.sha256}",
            f"remove {path} and try again; if it stays so, the archive is not the one that was looked at",
        )
    return path


def _fetch(project: Published, folder: Path) -> None:
    match project.registry:
        case "pypi":
            pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary=:all:"]
            _run([*pip, f"{project.name}=={project.version}", "--dest", str(folder)], folder)
        case "npm":
            _run(["npm", "pack", "--silent", f"{project.name}@{project.version}"], folder)


def repository(project: Published, packed: Path, folder: Path) -> Path:
    """A repository of one tagged commit: the archive's content, and the pipeline file.

    Raises: PermanentError when the archive is not of one folder.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tarfile.open(packed) as content:
        untar(content, folder)
    tops = list(folder.iterdir())
    if len(tops) != 1:
        raise PermanentError(f"{project.archive} does not hold one folder", "see what was published")
    root = folder / project.name
    if tops[0] != root:
        tops[0].rename(root)
    (root / "pipeline.yml").write_text(project.pipeline, "utf-8")
    message = f"{project.name} {project.version}"
    _run(["git", "init", "--quiet", "--initial-branch=main"], root)
    _run(["git", "add", "--all", "--force"], root)
    _run(["git", "commit", "--quiet", "--no-verify", "--message", message], root)
    _run(["git", "tag", f"v{project.version}"], root)  # some read their version from it
    return root


def _run(argv: Sequence[str], folder: Path) -> None:
    """Raises: TransientError with the program's own words."""
    ran = subprocess.run(
        argv, cwd=folder, env=os.environ | _COMMIT, capture_output=True, text=True, timeout=600, check=False
    )
    if ran.returncode:
        last = ([line for line in ran.stderr.splitlines() if line.strip()] or ["it said nothing"])[-1]
        raise TransientError(f"{argv[0]} ended with status {ran.returncode}: {last}", "try again")
