"""What ``with:`` of a security stage may say."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agents.sdk.options import Inside, InsidePaths, Version
from turnout.core.durations import parse_duration
from turnout.core.model import Value

Tool = Literal["trivy", "snyk"]
Scan = Literal["dependencies", "configuration", "secrets", "image"]
Threshold = Literal["critical", "high", "medium", "low", "note", "never"]

IMAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/\[\]-]{0,400}(?:@sha256:[0-9a-f]{64})?")
"""The name of an image, as a registry takes it; never an option of a command line."""


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _seconds(value: Any) -> Any:
    if isinstance(value, str):
        return parse_duration(value)
    raise ValueError("expected a duration like 90s, 15m, 1h30m or 2d")


def _image(value: str) -> str:
    if value and not IMAGE.fullmatch(value):
        raise ValueError("expected the name of an image, like registry.example.org/shop@sha256:…")
    return value


Duration = Annotated[float, BeforeValidator(_seconds)]


class Accepted(Value):
    """A finding that does not count until its day is over (in UTC). ``id``: of the vulnerability or the rule.

    ``package`` and ``path``: only there; empty: everywhere.
    """

    id: Annotated[str, Field(min_length=1, max_length=200)]
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    until: date
    package: str = ""
    path: str = ""

    def __str__(self) -> str:
        where = f" in {self.package or self.path}" if self.package or self.path else ""
        return f"{self.id}{where} (until {self.until.isoformat()}: {self.reason})"


class Database(Value):
    """Trivy's. Ages in seconds: after ``warn_after`` the report says so, after ``max_age`` (None: never) the stage is
    an error."""

    max_age: Duration | None = None
    warn_after: Duration = 3 * 24 * 3600.0


class SecurityOptions(Value):
    """``tool``: empty means Trivy, and Snyk where the stage has its token. ``scan``: empty means everything, and the
    image where a stage before this one has built one. ``skip``: files and folders that are left out.

    ``only_new``: only what the base branch does not have counts against ``fail_on``. ``baseline``: a SARIF file of the
    repository in place of the base branch's last report. ``time_limit`` in seconds, of each scanner.
    """

    tool: Annotated[tuple[Tool, ...], BeforeValidator(_listed)] = ()
    scan: Annotated[tuple[Scan, ...], BeforeValidator(_listed)] = ()
    fail_on: Threshold = "high"
    ignore: tuple[Accepted, ...] = ()
    only_fixable: bool = False
    only_new: bool = False
    baseline: Inside | None = None
    image: Annotated[str, AfterValidator(_image)] = ""
    skip: InsidePaths = ()
    dev_dependencies: bool = False
    all_projects: bool = False
    database: Database = Database()
    time_limit: Duration = 600.0
    working_directory: Inside = "."
    node: Version = ""
