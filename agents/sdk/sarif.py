"""Findings as SARIF 2.1.0.

Source: OASIS, Static Analysis Results Interchange Format (SARIF) Version 2.1.0, errata 01.
"""

from __future__ import annotations

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


@dataclass(frozen=True, slots=True)
class ToolFindings:
    """What one tool found. ``helps``: rule to the address of the page that explains it."""

    tool: str
    version: str
    findings: tuple[Finding, ...] = ()
    home: str = ""
    helps: Mapping[str, str] = field(default_factory=dict)


def render(tools: Sequence[ToolFindings]) -> bytes:
    """One SARIF run a tool, in the order given; the same findings give the same bytes."""
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(each) for each in tools]}
    return json.dumps(document, indent=2, ensure_ascii=False).encode() + b"\n"


def _run(tool: ToolFindings) -> dict[str, Any]:
    rules = sorted({finding.rule for finding in tool.findings})
    index = {rule: number for number, rule in enumerate(rules)}
    driver: dict[str, Any] = {"name": tool.tool, "version": tool.version}
    if tool.home:
        driver["informationUri"] = tool.home
    driver["rules"] = [
        {"id": rule} | ({"helpUri": tool.helps[rule]} if tool.helps.get(rule) else {}) for rule in rules
    ]
    return {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "The root of the repository."}}},
        "results": [_result(each, index[each.rule]) for each in ordered(tool.findings)],
    }


def _result(finding: Finding, index: int) -> dict[str, Any]:
    result: dict[str, Any] = {
        "ruleId": finding.rule,
        "ruleIndex": index,
        "level": _LEVELS[finding.severity],
        "message": {"text": finding.message},
        "properties": {"severity": finding.severity},
    }
    if finding.path:
        place: dict[str, Any] = {"artifactLocation": {"uri": quote(finding.path), "uriBaseId": "SRCROOT"}}
        if finding.line > 0:
            column = {"startColumn": finding.column} if finding.column > 0 else {}
            place["region"] = {"startLine": finding.line, **column}
        result["locations"] = [{"physicalLocation": place}]
    return result


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
