"""What a person does on a page: approve, reject, cancel, run again."""

from __future__ import annotations

from fastapi import Request

from turnout.core.access import Role, Viewer
from turnout.core.run import Run, StageStatus


def may_decide(request: Request, who: Viewer, run: Run) -> frozenset[str]:
    """The waiting stages of the run whose approval they may give."""
    return frozenset(
        stage.name
        for stage in run.stages.values()
        if stage.status is StageStatus.WAITING and who.may(Role.APPROVER, run.project)
    )
