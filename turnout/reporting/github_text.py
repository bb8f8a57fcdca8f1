"""A run as GitHub shows it: one check a stage, one for the whole, and the comment of a pull request. Pure.

Source: https://docs.github.com/en/rest/checks/runs, https://docs.github.com/en/rest/commits/statuses
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import quote

from turnout.core.result import Finding
from turnout.core.run import Run, StageStatus
from turnout.reporting import markdown as md
from turnout.reporting.figures import NO_BASE, Base
from turnout.reporting.github_counts import of_stage, sums
from turnout.reporting.proposed import proposed
from turnout.reporting.trouble import Trouble, place
from turnout.reporting.view import Light, RunView, StageView
from turnout.reporting.wording import by_severity, clean, clip, counted, duration, first_line, more

NAME = "turnout"
"""Of the check for the whole; those of the stages are called ``turnout / test``."""
MAX_SUMMARY = 60_000  # bytes; GitHub takes 65,535
MAX_DESCRIPTION = 140
"""Characters of a commit status. Source: GitHub's API, which refuses more."""
NAMED = 50
MAX_ANNOTATIONS = 1000

Status = Literal["queued", "in_progress", "completed"]

CHECKS: Mapping[Light, tuple[Status, str]] = {
    Light.PENDING: ("queued", ""),
    Light.WAITING: ("completed", "action_required"),
    Light.RUNNING: ("in_progress", ""),
    Light.RETRYING: ("in_progress", ""),
    Light.SUCCESS: ("completed", "success"),
    Light.ALLOWED: ("completed", "neutral"),
    Light.FAILURE: ("completed", "failure"),
    Light.ERROR: ("completed", "failure"),
    Light.TIMED_OUT: ("completed", "timed_out"),
    Light.CANCELLED: ("completed", "cancelled"),
    Light.SKIPPED: ("completed", "skipped"),
}
"""What people see, as a check's status and, once it is completed, its conclusion."""
STATES: Mapping[Light, str] = {
    Light.PENDING: "pending",
    Light.WAITING: "pending",
    Light.RUNNING: "pending",
    Light.RETRYING: "pending",
    Light.SUCCESS: "success",
    Light.ALLOWED: "success",
    Light.FAILURE: "failure",
    Light.ERROR: "error",
    Light.TIMED_OUT: "failure",
    Light.CANCELLED: "error",
    Light.SKIPPED: "success",
}
"""The same as the state of a commit status."""
SIGNS: Mapping[Light, str] = {
    Light.PENDING: "⚪",
    Light.WAITING: "✋",
    Light.RUNNING: "🔵",
    Light.RETRYING: "🔁",
    Light.SUCCESS: "✅",
    Light.ALLOWED: "⚠️",
    Light.FAILURE: "❌",
    Light.ERROR: "💥",
    Light.TIMED_OUT: "⏰",
    Light.CANCELLED: "🚫",
    Light.SKIPPED: "⏭️",
}
LEVELS = {"critical": "failure", "high": "failure", "medium": "warning"}


@dataclass(frozen=True, slots=True)
class Check:
    """``key``: unique within the run. ``conclusion``: empty while it is not completed. ``summary``: Markdown.

    ``annotations``: GitHub's, of a check that is completed. ``url``: where more is said, empty: nowhere.
    """

    key: str
    name: str
    light: Light
    title: str
    summary: str
    url: str = ""
    started_at: datetime | None = None
    completed_at: datetime | None = None
    annotations: tuple[Mapping[str, Any], ...] = ()

    @property
    def status(self) -> Status:
        return CHECKS[self.light][0]

    @property
    def conclusion(self) -> str:
        return CHECKS[self.light][1]

    @property
    def state(self) -> str:
        """As a commit status."""
        return STATES[self.light]

    @property
    def description(self) -> str:
        return clip(self.title, MAX_DESCRIPTION)

    @property
    def digest(self) -> str:
        """Of all that is shown, so that what is shown already need not be sent."""
        shown = [self.name, self.light, self.title, self.summary, self.url, str(self.completed_at)]
        return hashlib.sha256(json.dumps(shown).encode()).hexdigest()[:16]


def checks(run: Run, view: RunView, base: Base = NO_BASE) -> tuple[Check, ...]:
    """The whole first, then the stages in their order. None where nothing was to run."""
    if not run.stages and not run.problems and view.light is Light.SKIPPED:
        return ()
    whole = Check(
        key="check",
        name=NAME,
        light=view.light,
        title=first_line(f"{view.word}{_most(view)}", 200),
        summary=summary(run, view, base),
        url=view.link,
        started_at=run.created_at,
        completed_at=run.finished_at,
        annotations=tuple(_problems(run)),
    )
    return (whole, *(_stage(run, view, each, base) for each in view.stages))


def summary(run: Run, view: RunView, base: Base = NO_BASE) -> str:
    """All that is to be said of the run, what matters first. ``base``: what its coverage is compared with."""
    return md.within(_parts(run, view, base), MAX_SUMMARY)


def marker(run: Run) -> str:
    """What finds the comment of a pull request again, and says which run it shows."""
    return f"{marker_of(run.project)} {run.created_at.isoformat()} {run.id} -->"


def marker_of(project: str) -> str:
    digest = hashlib.sha256(project.encode()).hexdigest()[:16]
    return f"<!-- turnout {digest}"


def comment(run: Run, view: RunView, base: Base = NO_BASE) -> str:
    title = f"### {SIGNS[view.light]} {md.text(view.project)} {view.word} at {md.code(view.sha)}"
    return f"{marker(run)}\n{title}\n\n{summary(run, view, base)}"


# --- the parts ------------------------------------------------------------------------------------


def _stage(run: Run, view: RunView, shown: StageView, base: Base) -> Check:
    stage = run.stages[shown.name]
    troubles = [each for each in view.troubles if each.task in stage.tasks]
    ended = stage.status is StageStatus.FINISHED
    title = shown.note or shown.light.value.replace("_", " ")
    planned = run.planned(shown.name)
    about = [f"agent {md.code(planned.agent)}", counted(shown.attempts, "attempt")]
    if shown.seconds is not None:
        about.append(duration(shown.seconds))
    parts = [" · ".join(about), *of_stage(run, shown.name, base), *(_trouble(each) for each in troubles)]
    return Check(
        key=f"check:{shown.name}",
        name=f"{NAME} / {shown.name}",
        light=shown.light,
        title=first_line(title, 200),
        summary=md.within(parts, MAX_SUMMARY),
        url=f"{view.link}/stages/{quote(shown.name)}" if view.link else "",
        started_at=stage.started_at,
        completed_at=stage.finished_at if ended else None,
        annotations=tuple(_annotations(troubles))[:MAX_ANNOTATIONS] if ended else (),
    )


def _most(view: RunView) -> str:
    standing = view.standing
    if standing:
        return f": {standing[0].task}: {standing[0].summary}"
    return f": {view.reason}" if view.reason else ""


def _parts(run: Run, view: RunView, base: Base) -> Iterator[str]:
    if view.problems:
        lines = [f"- {md.code(str(each), 500)}" for each in view.problems[:NAMED]]
        yield "\n".join([f"**{counted(len(view.problems), 'problem')} in the pipeline file**", "", *lines])
    if said := " · ".join(sums(run, base)):
        yield said
    if view.stages:
        yield md.table(
            ["", "stage", "", "time"],
            (
                [
                    SIGNS[each.light],
                    md.code(each.name),
                    md.text(each.note) + (f" ({each.attempts} attempts)" if each.attempts > 1 else ""),
                    duration(each.seconds) if each.seconds is not None else "",
                ]
                for each in view.stages
            ),
        )
    for wanted in view.wanted:
        who = ", ".join(md.code(each) for each in wanted.by) or "anybody who may use Turnout"
        yield f"✋ {md.code(wanted.stage)} waits for approval by {who} ({len(wanted.given)} of {wanted.required})"
    for each in view.standing:
        yield _trouble(each)
    if run.proposal is not None:
        yield from proposed(run, run.proposal)
    lines = [f"- {md.code(name)}: {said}" for name in run.stages for said in of_stage(run, name, base)]
    if lines:
        yield "\n".join(lines)
    if view.flaky:
        names = [f"- {md.code(each)}" for each in view.flaky[:NAMED]]
        yield "\n".join(
            [f"**{counted(len(view.flaky), 'flaky test')}**, passed when tried again", "", *names]
        )
    yield " · ".join(_foot(run, view))


def _foot(run: Run, view: RunView) -> Iterator[str]:
    yield f"run {md.link(md.code(view.short_id), view.link)}"
    if view.seconds is not None:
        yield f"took {duration(view.seconds)}"
    if run.plan:
        yield f"plan {md.code(run.plan.digest[:12])}"
    if view.reason:
        yield md.text(view.reason)


def _trouble(trouble: Trouble) -> str:
    lines = [f"**{md.text(trouble.title)}**: {md.text(trouble.summary)}"]
    if trouble.reason:
        lines.append(md.text(trouble.reason, 500))
    shown = trouble.cases[:NAMED]
    if trouble.failed_tests:
        lines += ["", *(f"- {md.code(each.name)}{_message(each.message)}" for each in shown)]
        if trouble.failed_tests > len(shown):
            lines.append(f"- {more(trouble.failed_tests - len(shown))}")
    if trouble.found:
        found = trouble.findings[:NAMED]
        new = trouble.result.findings.new if trouble.result.findings else None
        fresh = f"; new: {by_severity(new) or 'none'}" if new is not None else ""
        lines += [
            "",
            f"{counted(trouble.found, 'finding')}: {md.text(by_severity(trouble.counts) + fresh)}",
            "",
        ]
        lines += [f"- {_finding(each)}" for each in found]
        if trouble.found > len(found):
            lines.append(f"- {more(trouble.found - len(found))}")
    return "\n".join(lines)


def _message(said: str) -> str:
    line = first_line(said)
    return f": {md.text(line)}" if line else ""


def _finding(found: Finding) -> str:
    where = place(found)
    rule = md.link(md.code(found.rule, 100), found.url)
    fixed = f", fixed in {md.code(found.fixed, 60)}" if found.fixed else ""
    at = f"{md.code(where)} " if where else ""
    return f"**{md.text(found.severity)}** {at}{md.text(found.message)} ({rule}{fixed})"


def _annotations(troubles: list[Trouble]) -> Iterator[Mapping[str, Any]]:
    """Of the attempts that are their tasks' last word: an earlier one's findings are no longer there, or said again."""
    for trouble in troubles:
        if trouble.again:
            continue
        for each in trouble.findings:
            if each.path and each.source == "":
                said = f"{each.message}\n{each.rule}" + (f", fixed in {each.fixed}" if each.fixed else "")
                title = f"{each.severity}: {each.rule}"
                yield _annotation(each.path, each.line, LEVELS.get(each.severity, "notice"), title, said)


def _problems(run: Run) -> Iterator[Mapping[str, Any]]:
    for each in run.problems[:MAX_ANNOTATIONS]:
        said = f"{each.message}\n{each.hint}" if each.hint else each.message
        yield _annotation(each.file, each.line, "failure", each.path or "pipeline", said)


def _annotation(path: str, line: int, level: str, title: str, said: str) -> Mapping[str, Any]:
    at = max(line, 1)
    return {
        "path": clip(clean(path), 500),
        "start_line": at,
        "end_line": at,
        "annotation_level": level,
        "title": clip(clean(title), 250) or "finding",
        "message": clip("\n".join(clean(part) for part in said.splitlines()), 2000) or "finding",
    }
