"""Reading what Trivy writes.

Source: Trivy, "Reporting" (JSON, schema version 2); github.com/aquasecurity/trivy, pkg/types/report.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError
from agents.security.scanning import finding, severity
from turnout.core.result import Finding


@dataclass(frozen=True, slots=True)
class Report:
    """``ecosystems``: kinds of dependency files that were read (``pip``…). ``files``, ``packages``: how many."""

    version: str
    findings: list[Finding]
    ecosystems: frozenset[str]
    files: int
    packages: int


@written_by("trivy's report")
def read(content: Any, cwd: str, source: str = "") -> Report:
    """``source``: empty for the repository, ``image``. Raises: AgentError when it is none of Trivy's."""
    if not isinstance(content, dict) or content.get("SchemaVersion") != 2:
        raise AgentError("trivy wrote no report that can be read", "see the log for its words")
    results: list[dict[str, Any]] = content.get("Results") or []
    packaged = [each for each in results if each.get("Class") in ("lang-pkgs", "os-pkgs")]
    return Report(
        version=str(content["Trivy"]["Version"]) if content.get("Trivy") else "",
        findings=[found for each in results for found in _findings(each, cwd, source)],
        ecosystems=frozenset(str(each.get("Type")) for each in packaged),
        files=len(packaged),
        packages=sum(len(each.get("Packages") or ()) for each in packaged),
    )


def _findings(result: dict[str, Any], cwd: str, source: str) -> Iterator[Finding]:
    path = "" if result.get("Class") == "os-pkgs" else str(result["Target"])
    lines = _lines(result)
    for each in result.get("Vulnerabilities") or ():
        package = str(each["PkgName"])
        yield finding(
            cwd,
            rule=each["VulnerabilityID"],
            severity=severity(each.get("Severity")),
            message=each.get("Title") or f"{each['VulnerabilityID']} in {package}",
            path=each.get("PkgPath") or path,
            line=lines.get(_uid(each), 0),
            kind="vulnerability",
            package=package,
            installed=each.get("InstalledVersion"),
            fixed=each.get("FixedVersion"),
            url=each.get("PrimaryURL"),
            source=source,
        )
    for each in result.get("Misconfigurations") or ():
        if each.get("Status", "FAIL") == "FAIL":
            yield finding(
                cwd,
                rule=each["ID"],
                severity=severity(each.get("Severity")),
                message=": ".join(filter(None, (each.get("Title"), each.get("Message")))),
                path=path,
                line=int((each.get("CauseMetadata") or {}).get("StartLine") or 0),
                kind="misconfiguration",
                url=each.get("PrimaryURL"),
                source=source,
            )
    for each in result.get("Secrets") or ():  # what matched is left out: it is a secret, or most of one
        yield finding(
            cwd,
            rule=each["RuleID"],
            severity=severity(each.get("Severity")),
            message=each.get("Title") or each["RuleID"],
            path=path,
            line=int(each.get("StartLine") or 0),
            kind="secret",
            source=source,
        )


def _lines(result: dict[str, Any]) -> dict[str, int]:
    """Where each package stands in its file."""
    return {
        _uid(each, "Identifier"): int(each["Locations"][0].get("StartLine") or 0)
        for each in result.get("Packages") or ()
        if each.get("Locations")
    }


def _uid(each: dict[str, Any], name: str = "PkgIdentifier") -> str:
    return str((each.get(name) or {}).get("UID"))
