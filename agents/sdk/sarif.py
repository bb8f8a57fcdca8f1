"""Findings as SARIF 2.1.0.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, errata 01.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote

from turnout.core.result import MAX_NAMED, Finding, Findings

MEDIA_TYPE = "application/sarif+json"
SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"

SEVERITIES = ("critical", "high", "medium", "low", "note")
"""The worst first."""

_LEVELS = {"critical": "error", "high": "error", "medium": "warning", "low": "note", "note": "note"}


FINGERPRINT = "turnout/v1"
"""The name of `fingerprint` in ``partialFingerprints``."""

# What code scanning services sort vulnerabilities by, a CVSS score. Source: GitHub, "SARIF support for code scanning".
_SCORES = {"critical": "9.5", "high": "8.0", "medium": "5.5", "low": "3.0", "note": "0.5"}


@dataclass(frozen=True, slots=True)
class ToolFindings:
    """What one tool found. ``helps``: rule to the address of the page that explains it.

    ``ignored``: what does not count, each with the reason. ``run``: the run's id, and ``compared``: whether its
    findings were compared with earlier ones.
    """

    tool: str
    version: str
    findings: tuple[Finding, ...] = ()
    home: str = ""
    helps: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[tuple[Finding, str], ...] = ()
    run: str = ""
    compared: bool = False


def render(tools: Sequence[ToolFindings]) -> bytes:
    """One SARIF run a tool, in the order given; the same findings give the same bytes."""
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in tools]}
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _run(tool: ToolFindings) -> dict[str, Any]:
    every = (*tool.findings, *(each for each, _ in tool.ignored))
    rules = sorted({finding.rule for finding in every})
    scores = {finding.rule: _SCORES[finding.severity] for finding in reversed(ordered(every)) if finding.kind}
    index = {rule: number for number, rule in enumerate(rules)}
    driver: dict[str, Any] = {"name": tool.tool, "version": tool.version}
    if tool.home:
        driver["informationUri"] = tool.home
    driver["rules"] = [
        {"id": rule}
        | ({"helpUri": tool.helps[rule]} if tool.helps.get(rule) else {})
        | (
            {"properties": {"security-severity": scores[rule], "tags": ["security"]}}
            if rule in scores
            else {}
        )
        for rule in rules
    ]
    ignored = {id(each): reason for each, reason in tool.ignored}
    results = []
    for each in ordered(every):
        reason = ignored.get(id(each))
        suppressed = (
            {} if reason is None else {"suppressions": [{"kind": "external", "justification": reason}]}
        )
        results.append(_result(each, index[each.rule]) | suppressed)
    details: dict[str, Any] = {"automationDetails": {"id": tool.run}} if tool.run else {}
    if tool.compared:
        details["properties"] = {"compared": True}
    return {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
        "results": results,
    } | details


def _result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "properties": {"severity": finding.severity},
    }
    if finding.kind:
        about = {name: getattr(finding, name) for name in ("kind", "package", "installed", "fixed", "source")}
        result["properties"] |= {name: value for name, value in about.items() if value}
        result["partialFingerprints"] = {FINGERPRINT: fingerprint(finding)}
    if finding.new is not None:
        result["baselineState"] = "new" if finding.new else "unchanged"
    if finding.source:  # a path in an image is none in the repository
        name = f"{finding.source}:{finding.path}" if finding.path else finding.source
        result["locations"] = [{"logicalLocations": [{"fullyQualifiedName": name}]}]
    elif finding.path:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.path), "uriBaseId": "SRCROOT"}}
        if finding.line > 0:
            column = {"startColumn": finding.column} if finding.column > 0 else {}
            place["region"] = {"startLine": finding.line, **column}
        result["locations"] = [{"physicalLocation": place}]
    return result


def fingerprint(finding: Finding) -> str:
    """By which a security finding is known again, wherever its line has gone and whichever version its package has."""
    parts = (finding.kind, finding.rule, finding.package, finding.source, finding.path)
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def ordered(findings: Sequence[Finding]) -> list[Finding]:
    """The worst first, then by place."""
    return sorted(findings, key=lambda f: (SEVERITIES.index(f.severity), f.path, f.line, f.column, f.rule))


def summarize(tools: Sequence[ToolFindings], longest: int = 300) -> Findings:
    """Exact counts by severity, and the worst findings by name. ``longest``: characters kept of a message."""
    every = ordered([finding for tool in tools for finding in tool.findings])
    counts = {severity: sum(each.severity == severity for each in every) for severity in SEVERITIES}
    named = tuple(
        each if len(each.message) <= longest else each.with_(message=each.message[: longest - 1] + "…")
        for each in every[:MAX_NAMED]
    )
    return Findings(counts={name: count for name, count in counts.items() if count}, named=named)


def at_least(counts: Mapping[str, int], threshold: str) -> int:
    """How many findings are of this severity or worse."""
    return sum(counts.get(severity, 0) for severity in SEVERITIES[: SEVERITIES.index(threshold) + 1])
