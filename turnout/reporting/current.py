"""The run as the store has it now, and how the one before it ended."""

from __future__ import annotations

from dataclasses import dataclass

from turnout.core.errors import NotFound
from turnout.core.model import Outcome
from turnout.core.ports import RunFilter
from turnout.core.run import Run
from turnout.reporting.ledger import Reports

LOOK_BACK = 20
"""Runs of the branch that are looked at for one that ended well or badly, past those that were cancelled."""


@dataclass(frozen=True, slots=True)
class Report:
    """``previous``: the outcome of the run before on the branch, empty: none, or this one hasn't finished."""

    run: Run
    previous: str


def read(reports: Reports, run: str) -> Report:
    """Raises: NotFound for a run that isn't in the store."""
    found = reports.load(run)
    if found is None:
        raise NotFound(f"no run {run}", "it may have been started on another store")
    return Report(found, _previous(found, reports))


def _previous(run: Run, reports: Reports) -> str:
    """The outcome of the newest run before on the branch that says something about the code."""
    branch = run.change.branch
    if not run.finished or not branch:
        return ""
    found = reports.previous_outcome(run.project, branch, run.id)
    if found not in (Outcome.CANCELLED, Outcome.SKIPPED):
        return found
    before = RunFilter(project=run.project, branch=branch, status="finished")
    rows = reports.runs(before, limit=LOOK_BACK, before=run.id)
    told = (row.outcome for row in rows if row.outcome not in (Outcome.CANCELLED, Outcome.SKIPPED))
    return next(told, "")
