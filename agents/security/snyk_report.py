"""Reading what ``snyk test --json`` prints: one object, or a list of them, one a project.

Source: Snyk, "CLI commands: test", ``--json``; github.com/snyk/cli, src/lib/snyk-test/legacy.ts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError
from agents.security.scanning import finding, severity
from turnout.core.result import Finding
from turnout.core.strict_json import read_json


@dataclass(frozen=True, slots=True)
class Report:
    """``filtered``: how many Snyk's own policy ignores."""

    findings: list[Finding]
    projects: int
    dependencies: int
    filtered: int


@written_by("snyk's report")
def read(content: Any, cwd: str) -> Report:
    """Raises: AgentError for a report of another shape, or one that says that a project could not be tested."""
    projects: list[dict[str, Any]] = content if isinstance(content, list) else [content]
    found: dict[tuple[str, ...], Finding] = {}
    for project in projects:
        if project.get("error") or not isinstance(project.get("vulnerabilities"), list):
            words = str(project.get("error") or "it has no list of vulnerabilities").split("\n", 1)[0]
            raise AgentError(f"snyk could not test a project: {words[:200]}", "see the log for its words")
        file = str(project.get("displayTargetFile") or "")
        for each in project["vulnerabilities"]:
            # one entry for each way in which the dependency comes in
            one = _finding(each, file, cwd)
            found.setdefault((one.rule, one.package, one.installed, one.path), one)
    return Report(
        findings=list(found.values()),
        projects=len(projects),
        dependencies=sum(int(each.get("dependencyCount") or 0) for each in projects),
        filtered=sum(len((each.get("filtered") or {}).get("ignore") or ()) for each in projects),
    )


def said(stdout: bytes) -> str:
    """Snyk's own words for why it could not run, to go on a sentence with."""
    try:
        words = str(read_json(stdout)["error"])
    except (ValueError, LookupError, TypeError):
        words = stdout[:2000].decode("utf-8", "replace")
    line = " ".join(
        "".join(each if each.isprintable() else " " for each in words.strip().split("\n", 1)[0]).split()
    )
    return f": {line[:200]}" if line else ""


def _finding(each: dict[str, Any], file: str, cwd: str) -> Finding:
    own = str(each["id"])
    identifiers = each.get("identifiers") or {}
    cves = identifiers.get("CVE") or ()
    package = each.get("packageName") or each.get("name")
    return finding(
        cwd,
        rule=cves[0] if cves else own,
        severity=severity(each.get("severityWithCritical") or each.get("severity")),
        message=each.get("title") or own,
        path=file,
        kind="vulnerability",
        package=package,
        installed=each.get("version"),
        fixed=", ".join(map(str, each.get("fixedIn") or ())),
        url=f"https://security.snyk.io/vuln/{own}",
    )
