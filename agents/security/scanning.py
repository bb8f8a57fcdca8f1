"""What a scanner is asked, and what it answers."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from agents.sdk.sarif import SEVERITIES, ToolFindings
from agents.sdk.workspace import AgentError, ToolRun
from agents.security.options import Scan, SecurityOptions
from turnout.core.durations import format_duration
from turnout.core.result import Finding

MOST_FINDINGS = 50_000
"""Of one scanner. A report with more is no report that people could use, and would not fit into the result's size."""

_LONGEST = {
    "rule": 200,
    "message": 500,
    "path": 1000,
    "package": 200,
    "installed": 100,
    "fixed": 200,
    "url": 500,
}


@dataclass(frozen=True, slots=True)
class Asked:
    """``root``: the project's folder in the checkout. ``image``: by digest, empty: there is none.

    ``operator``: settings of whoever runs the agents.
    """

    root: Path
    options: SecurityOptions
    scans: tuple[Scan, ...]
    now: datetime
    image: str = ""
    operator: Mapping[str, str] = field(default_factory=dict)
    token: bool = False

    @property
    def cwd(self) -> str:
        return self.options.working_directory


@dataclass(frozen=True, slots=True)
class Scanned:
    """``remarks``: what people should know of the scan itself, in the report."""

    found: ToolFindings
    remarks: tuple[str, ...] = ()


def finding(cwd: str, **fields: Any) -> Finding:
    """From what a scanner wrote: on one line, within bounds, its path from the root of the repository.

    Raises: ValueError for a field of the wrong type.
    """
    plain = {
        name: _one_line(value, _LONGEST[name]) if name in _LONGEST else value
        for name, value in fields.items()
    }
    if plain.get("path") and not plain.get("source"):
        plain["path"] = posixpath.normpath(posixpath.join(cwd, plain["path"].replace("\\", "/")))
    return Finding.model_validate(plain)


def bounded(tool: str, findings: list[Finding]) -> tuple[Finding, ...]:
    """Raises: AgentError where there are too many."""
    if len(findings) > MOST_FINDINGS:
        raise AgentError(
            f"{tool} found {len(findings)} things, at most {MOST_FINDINGS} can be reported",
            "leave folders out with with.skip",
        )
    return tuple(findings)


def severity(word: object, default: str = "medium") -> str:
    """What has no known severity is taken as ``default``: nobody has said that it is harmless."""
    said = str(word).lower()
    return said if said in SEVERITIES else default


def ended(tool: str, ran: ToolRun, limit: float) -> None:
    """Raises: AgentError when the scanner was ended instead of coming to its end."""
    if ran.timed_out:
        raise AgentError(
            f"{tool} had not ended after {format_duration(limit)}",
            "raise with.time_limit, or narrow with.scan",
        )
    if ran.oom_killed or ran.code is None:
        why = "ran out of memory" if ran.oom_killed else f"was ended by signal {ran.signal}"
        raise AgentError(f"{tool} {why}", "give the stage more `resources.memory`; see the log")


def _one_line(value: object, longest: int) -> str:
    if value is None:
        return ""
    if not isinstance(value, str | int | float):
        raise ValueError(f"expected a text, got {type(value).__name__}")
    text = " ".join(str(value)[: 4 * longest].split())
    text = "".join(each if each.isprintable() else "�" for each in text)
    return text if len(text) <= longest else text[: longest - 1] + "…"
