"""From what the scanners found to the stage's answer. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date

from agents.sdk import sarif
from agents.sdk.sarif import SEVERITIES, ToolFindings
from agents.sdk.workspace import AgentError
from agents.security.accepting import sort_out
from agents.security.comparing import Known, mark
from agents.security.options import SecurityOptions
from agents.security.scanning import Scanned
from turnout.core.model import Outcome
from turnout.core.result import MAX_NAMED, Finding, Findings, Result

MOST_LINES = 1000
"""Findings that are told in the log."""


@dataclass(frozen=True, slots=True)
class Judged:
    """``tools``: for SARIF. ``lines``: for the log."""

    result: Result
    tools: tuple[ToolFindings, ...]
    lines: tuple[str, ...]


def verdict(
    done: Sequence[Scanned],
    options: SecurityOptions,
    broken: Sequence[AgentError],
    known: Known | None,
    base: str,
    today: date,
    *,
    run: str = "",
    remarks: tuple[str, ...] = (),
) -> Judged:
    """``known``: the findings of ``base`` before, None: there is nothing to compare with. ``broken``: why a scanner
    could not do its work. ``run``: the run's id, for the report."""
    marked = mark(merged([each for scan in done for each in scan.found.findings]), known)
    sorted_ = sort_out(marked, options.ignore, today, only_fixable=options.only_fixable)
    counted = sarif.ordered(sorted_.counted)
    new = None if known is None else _counts([each for each in counted if each.new])
    against = new if options.only_new and new is not None else _counts(counted)
    failing = 0 if options.fail_on == "never" else sarif.at_least(against, options.fail_on)
    said = [*remarks, *(remark for scan in done for remark in scan.remarks), *sorted_.remarks]
    if options.only_new and known is None:
        said.append("there is no report of the base branch to compare with: everything counts")
    findings = Findings(
        counts=_counts(counted),
        named=tuple(sorted(counted, key=lambda each: not each.new)[:MAX_NAMED])
        if new
        else tuple(counted[:MAX_NAMED]),
        new=new,
        compared_with=base if known is not None else "",
        ignored=len(sorted_.ignored),
        remarks=tuple(said[:MAX_NAMED]),
    )
    reason = "; ".join(map(str, broken))
    outcome = Outcome.ERROR if broken else Outcome.FAILURE if failing else Outcome.SUCCESS
    names = [scan.found.tool for scan in done]
    parts = [reason] if broken else []
    if names:
        parts.append(_summary(findings, names))
    parts += [_short(remark) for remark in sorted_.remarks[:2]]
    result = Result(
        outcome=outcome,
        summary="; ".join(parts),
        reason=reason,
        findings=findings,
        tools={scan.found.tool: scan.found.version for scan in done},
    )
    lines = [*said, *(_line(each) for each in counted[:MOST_LINES])]
    return Judged(
        result, _tools(done, sorted_.counted, sorted_.ignored, run, known is not None), tuple(lines)
    )


def merged(findings: Sequence[Finding]) -> list[Finding]:
    """What two scanners found alike, once, with the worse severity. Other things are told apart by their line."""
    kept: dict[tuple[object, ...], Finding] = {}
    for each in findings:
        key = _key(each)
        other = kept.get(key)
        if other is None:
            kept[key] = each
        elif SEVERITIES.index(each.severity) < SEVERITIES.index(other.severity):
            kept[key] = other.with_(severity=each.severity, fixed=other.fixed or each.fixed)
        else:
            kept[key] = other.with_(fixed=other.fixed or each.fixed)
    return list(kept.values())


def _key(each: Finding) -> tuple[object, ...]:
    line = (each.line, each.column, each.message) if each.kind != "vulnerability" else ()
    return (each.kind, each.rule, each.package.lower(), each.installed, each.source, each.path, line)


def _tools(
    done: Sequence[Scanned],
    counted: Sequence[Finding],
    ignored: Sequence[tuple[Finding, str]],
    run: str,
    compared: bool,
) -> tuple[ToolFindings, ...]:
    """Each scanner's own findings, with what was decided about them."""
    counts = {_key(each): each for each in counted}
    reasons = {_key(each): (each, reason) for each, reason in ignored}
    tools = []
    for scan in done:
        kept: list[Finding] = []
        left: list[tuple[Finding, str]] = []
        for each in scan.found.findings:
            key = _key(each)
            if key in reasons:
                left.append((each.with_(new=reasons[key][0].new), reasons[key][1]))
            else:
                kept.append(each.with_(new=counts[key].new, severity=counts[key].severity))
        tools.append(
            replace(scan.found, findings=tuple(kept), ignored=tuple(left), run=run, compared=compared)
        )
    return tuple(tools)


def _counts(findings: Sequence[Finding]) -> dict[str, int]:
    counts = {severity: sum(each.severity == severity for each in findings) for severity in SEVERITIES}
    return {severity: count for severity, count in counts.items() if count}


def _summary(findings: Findings, names: Sequence[str]) -> str:
    text = f"{' and '.join(names)} found {_told(findings.counts)}"
    if findings.new is not None:
        text += f"; new since {findings.compared_with}: {_told(findings.new)}"
    if findings.ignored:
        text += f"; {findings.ignored} ignored"
    return text


def _told(counts: Mapping[str, int]) -> str:
    if not counts:
        return "nothing"
    return f"{sum(counts.values())} ({', '.join(f'{count} {name}' for name, count in counts.items())})"


def _short(remark: str) -> str:
    return remark if len(remark) <= 160 else remark[:159] + "…"


def _line(each: Finding) -> str:
    where = f"{each.source}:{each.path}" if each.source else each.path
    place = f"{where}:{each.line}" if each.line else where
    package = f" {each.package} {each.installed}" if each.package else ""
    fix = f", fixed in {each.fixed}" if each.fixed else ""
    new = " (new)" if each.new else ""
    return f"{each.severity}{new} {each.rule}{package}{fix}: {each.message} [{place}]"
