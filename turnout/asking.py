"""The use case of a person who asks for something where the repository is hosted: a comment, a button, a label."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from turnout.core import messages as m
from turnout.core.change import Ask, Change
from turnout.core.errors import PermanentError
from turnout.core.ids import message_id, run_id
from turnout.core.ports import RunFilter, Store
from turnout.core.run import Run, StageStatus

LOOKED_AT = 100
"""Runs of the repository, the newest, in which the one that is meant is looked for."""


class People(Protocol):
    """What only the host of the repository knows. Raises: TransientError, PermanentError."""

    def may_write(self, repository: str, person: str) -> bool: ...

    def teams(self, repository: str, person: str, among: tuple[str, ...]) -> tuple[str, ...]:
        """Those of ``among`` (``@org/team``) that the person belongs to. ``repository``: where it is asked for."""
        ...

    def pull_request(self, repository: str, number: int) -> Change:
        """As it is now."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """``messages``: with the ids that their envelopes carry. ``run``: the one that they are about, or make."""

    run: str
    messages: tuple[tuple[str, m.Message], ...]
    said: str


@dataclass(frozen=True)
class Asking:
    """``people`` is None where nobody can be asked: then only what is permitted already is done."""

    store: Store
    people: People | None

    def wanted(self, ask: Ask, delivery: str, cause: str) -> Wanted | str:
        """What follows, or why nothing does. ``cause``: the envelope id of the ``delivery``, from which everything is
        derived, so that the same delivery asks for the same.

        Raises: TransientError where the host can't be asked.
        """
        refused = self._refused(ask)
        if refused:
            return refused
        if ask.verb == "run":
            return self._new(ask, delivery, cause)
        if ask.verb == "close":
            return self._close(ask, cause)
        run = self._meant(ask)
        if run is None:
            where = f"pull request #{ask.number}" if ask.number else f"commit {ask.sha[:12]}"
            return f"{ask.verb}: there is no run {ask.run[:8] or f'of {where}'}"
        said = f"{ask.verb}{f' {ask.stage}' if ask.stage else ''} asked for by {ask.by}"
        match ask.verb:
            case "rerun" | "rerun failed":
                mode = "stage" if ask.stage else ("failed" if ask.verb == "rerun failed" else "whole")
                told = {"mode": mode, "by": ask.by, "stage": ask.stage, "delivery": delivery}
                asked = m.RerunRun.model_validate({"run": run.id, "trigger": cause, **told})
                return Wanted(run_id(cause), ((cause, asked),), said)
            case "cancel":
                return Wanted(run.id, ((cause, m.CancelRun(run=run.id, by=ask.by)),), said)
            case "approve" if ask.at is not None and run.created_at > ask.at:
                # who spoke can't have seen it: its commit was pushed between their look and their word
                return (
                    f"{said}: run {run.id[:8]} of {run.change.sha[:12]} is newer; look at it, and ask again"
                )
            case "approve" | "reject":
                found = tuple(self._decisions(ask, run, cause))
                return (
                    Wanted(run.id, found, said)
                    if found
                    else f"{said}: nothing of run {run.id[:8]} waits for it"
                )

    def _refused(self, ask: Ask) -> str:
        if not ask.by:
            return f"{ask.verb}: the delivery does not say who asks"
        if ask.permitted:
            return ""
        if self.people is None:
            return (
                f"{ask.verb} by {ask.by}: nobody here can ask GitHub who may write; "
                "set TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY, or TURNOUT_GITHUB_TOKEN"
            )
        if not self.people.may_write(ask.repository, ask.by):
            return f"{ask.verb}: {ask.by} may not write to {ask.repository}"
        return ""

    def _new(self, ask: Ask, delivery: str, cause: str) -> Wanted | str:
        if self.people is None or not ask.number:
            return "run: it is not known of what"
        try:
            change = self.people.pull_request(ask.repository, ask.number)
        except PermanentError as error:
            return f"run: {error.message}"
        request = m.RunRequested(trigger=cause, change=change, delivery=delivery, requested_by=ask.by)
        return Wanted(run_id(cause), ((cause, request),), f"run asked for by {ask.by}")

    def _close(self, ask: Ask, cause: str) -> Wanted | str:
        """End the runs of a pull request that was closed unmerged, in groups where a newer run would end them too."""
        said = f"pull request #{ask.number} was closed"
        found = tuple(
            (
                message_id(m.CancelRun.type, cause, run.id),
                m.CancelRun(run=run.id, by=ask.by, reason=f"{said} without being merged"),
            )
            for run in self._under_way(ask.repository, ask.number)
            if run.plan and run.plan.concurrency and run.plan.concurrency.cancel_superseded
        )
        if not found:
            return f"{said}; it has no run under way that a newer one would have cancelled"
        return Wanted(found[0][1].run, found, f"{said}: {len(found)} of its runs cancelled")

    def _under_way(self, repository: str, number: int) -> Iterator[Run]:
        for row in self.store.runs(RunFilter(project=repository), limit=LOOKED_AT):
            run = self.store.load(row.id) if row.status != "finished" else None
            if run is not None and run.change.number == number:
                yield run

    def _meant(self, ask: Ask) -> Run | None:
        if ask.run:
            run = self.store.load(ask.run)
            # a check's name for its run can be made up by another App of the repository
            return run if run and run.change.repository == ask.repository else None
        for row in self.store.runs(RunFilter(project=ask.repository), limit=LOOKED_AT):
            if ask.sha and row.sha != ask.sha:
                continue
            run = self.store.load(row.id)
            if run is not None and (not ask.number or run.change.number == ask.number):
                return run
        return None

    def _decisions(self, ask: Ask, run: Run, cause: str) -> Iterator[tuple[str, m.Message]]:
        """One for each stage that waits. An approval is for this run, and so for its commit."""
        for stage in run.stages.values():
            if stage.status is not StageStatus.WAITING or (ask.stage and ask.stage != stage.name):
                continue
            approval = run.planned(stage.name).approval
            teams = tuple(each for each in (approval.by if approval else ()) if "/" in each)
            told = {
                "run": run.id,
                "stage": stage.name,
                "by": ask.by,
                "teams": self.people.teams(ask.repository, ask.by, teams) if self.people and teams else (),
                "comment": ask.comment,
            }
            message = (
                m.Approve.model_validate(told) if ask.verb == "approve" else m.Reject.model_validate(told)
            )
            yield message_id(message.type, cause, stage.name), message
