"""Trivy's vulnerability database: the operator's, or one that is fetched once a day and kept for the project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from agents.sdk.dependency_cache import digest, held
from agents.sdk.inside import read_inside
from agents.sdk.installing import installer_environment
from agents.sdk.operator_paths import TRIVY_DATABASE
from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError, Workspace
from agents.security.options import Database
from agents.security.scanning import Asked, ended
from turnout.core.strict_json import read_json

HOW = (
    "make one with `trivy fs --download-db-only --cache-dir FOLDER .` where there is a network, "
    f"and give the agents {TRIVY_DATABASE}=FOLDER"
)


@dataclass(frozen=True, slots=True)
class Known:
    """``folder``: Trivy's cache folder. ``remark``: that the database is old, empty: it is not."""

    folder: Path
    remark: str = ""


@contextmanager
def vulnerability_database(workspace: Workspace, asked: Asked, trivy: str) -> Iterator[Known]:
    """Raises: AgentError when there is none, when it is too old, or when it cannot be fetched."""
    given = asked.operator.get(TRIVY_DATABASE)
    if given:
        if not _for_everybody(Path(given)):
            workspace.log(
                f"{given} is not readable for everybody: tools run as another user, and may not see it"
            )
        yield Known(Path(given), checked(Path(given), asked.options.database, asked.now))
        return

    def fetch(folder: Path) -> None:
        workspace.log(f"Fetching Trivy's database (once a day; {TRIVY_DATABASE} names one that is there)")
        argv = [
            trivy,
            "fs",
            "--download-db-only",
            "--no-progress",
            "--cache-dir",
            str(folder),
            "--config",
            "",
        ]
        ran = workspace.run(
            argv,
            env=installer_environment(workspace.cache / "downloads"),
            timeout=asked.options.time_limit,
            network=True,
            writable_cache=True,
            quiet=True,
        )
        ended("trivy's download of its database", ran, asked.options.time_limit)
        if not ran.ok:
            raise AgentError(
                "trivy could not fetch its vulnerability database (its words are in the log)", HOW
            )

    key = digest(["trivy-db", asked.now.astimezone(UTC).date().isoformat()])
    with held(workspace, "trivy", key, fetch) as entry:
        yield Known(entry, checked(entry, asked.options.database, asked.now))


@written_by("db/metadata.json of Trivy's database")
def checked(folder: Path, wanted: Database, now: datetime) -> str:
    """A remark when the database is old; empty: it is not. Raises: AgentError when it is none, or too old."""
    content = read_inside(folder, "db/metadata.json", 65536)
    if content is None or not (folder / "db/trivy.db").is_file():
        raise AgentError(f"there is no vulnerability database in {folder}", HOW)
    made = datetime.fromisoformat(read_json(content)["UpdatedAt"])
    if made.tzinfo is None:
        raise ValueError("UpdatedAt has no time zone")
    age = (now - made).total_seconds()
    said = f"trivy's database is {_days(age)} old ({made.astimezone(UTC):%Y-%m-%d})"
    if wanted.max_age is not None and age > wanted.max_age:
        raise AgentError(f"{said}, with.database.max_age is {_days(wanted.max_age)}", HOW)
    return f"{said}: vulnerabilities found since are missing" if age > wanted.warn_after else ""


def _for_everybody(folder: Path) -> bool:
    needed = {folder: 0o005, folder / "db": 0o005, folder / "db/trivy.db": 0o004}
    try:
        return all(path.stat().st_mode & bits == bits for path, bits in needed.items())
    except OSError:
        return True  # that it is not there is said elsewhere


def _days(seconds: float) -> str:
    days = seconds / (24 * 3600)
    return f"{days:.0f} days" if days >= 2 else f"{seconds / 3600:.0f} hours"
