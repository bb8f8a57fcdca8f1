"""Which event of a run last said what: the numbers that causes point back to."""

from __future__ import annotations

from turnout.core import events as e


class Trail:
    """Numbers of events, from 1; 0 for what has not happened."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], int] = {}
        self._lost: dict[str, bool] = {}

    @property
    def made(self) -> int:
        """Since when the run may go on."""
        return self.of("made", "")

    def of(self, what: str, whose: str) -> int:
        return self._last.get((what, whose), 0)

    def stage_over(self, stage: str) -> int:
        return self.of("stage over", stage)

    def lost(self, task: str) -> bool:
        """Whether its newest retry is paid from the infrastructure budget."""
        return self._lost.get(task, False)

    def note(self, version: int, event: e.Event) -> None:
        for what, whose in _said(event):
            self._last[what, whose] = version
        if isinstance(event, e.RetryScheduled):
            self._lost[event.task] = event.budget == "infrastructure"


def _said(event: e.Event) -> tuple[tuple[str, str], ...]:
    match event:
        case e.RunCreated() | e.RunReleased():
            return (("made", ""),)
        case e.StageSkipped() | e.StageFinished():
            return (("stage over", event.stage),)
        case e.StageRejected():
            return ("stage over", event.stage), ("rejected", event.stage)
        case e.ApprovalRequested():
            return (("approval asked", event.stage),)
        case e.StageApproved():
            return (("approved", event.stage),)
        case e.EnvironmentAwaited():
            return (("awaited", event.stage),)
        case e.StageStarted():
            return (("started", event.stage),)
        case e.AttemptLaunched():
            return (("launched", event.attempt),)
        case e.AttemptStarted():
            return (("begun", event.attempt),)
        case e.CancelOrdered():
            return (("ordered", event.attempt),)
        case e.AttemptFinished():
            return (("ended", event.task),)
        case e.RetryScheduled():
            return (("retry", event.task),)
        case e.TaskFinished():
            return (("task over", event.task),)
        case e.RollbackStarted():
            return (("rollback", event.stage),)
        case e.RollbackFinished():
            return (("rolled back", event.stage),)
        case e.RunHalted():
            return (("halted", ""),)
        case e.CancelRequested():
            return (("cancelled", ""),)
        case _:
            return ()
