"""The live view of a run on a terminal."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from types import TracebackType

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from turnout.cli.shown import between, console, duration, light
from turnout.core.run import Run, Stage, StageStatus, Task, TaskStatus
from turnout.reporting.view import standing


class LiveView:
    """A context manager; `update` may be called as often as one likes."""

    def __init__(self, run: str) -> None:
        self._run = run
        self._began = time.monotonic()
        self._spinner = Spinner("dots")
        self._live = Live(self._waiting(), console=console, refresh_per_second=10, transient=False)

    def __enter__(self) -> LiveView:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def update(self, run: Run | None) -> None:
        self._live.update(self._picture(run) if run else self._waiting())

    def _waiting(self) -> RenderableType:
        return Text.from_markup(f"[dim]run {self._run[:12]} is being planned…[/]")

    def _picture(self, run: Run) -> RenderableType:
        now = datetime.now(UTC)
        head = Text.from_markup(
            f"[bold]{escape(run.project)}[/] {escape(run.change.branch or run.change.tag)} {run.change.sha[:8]}"
            + ("  [yellow]with uncommitted changes[/]" if run.change.dirty else "")
        )
        table = Table.grid(padding=(0, 1))
        for stage in run.stages.values():
            running = stage.status is StageStatus.RUNNING
            mark: RenderableType = self._spinner if running else Text.from_markup(light(stage))
            took = between(stage.started_at, stage.finished_at or (now if running else None))
            table.add_row(
                mark, Text(stage.name, style="bold" if running else ""), took, Text(said_of(stage, now))
            )
        problems = [Text(str(problem), style="red") for problem in run.problems]
        return Group(head, table, *problems)


def said_of(stage: Stage, now: datetime) -> str:
    """How the stage stands, or how it ended."""
    if stage.outcome is not None:
        tries = f"{stage.attempts} attempts" if stage.attempts > 1 else ""
        return "; ".join(part for part in (_summary(stage), tries, stage.reason, standing(stage)) if part)
    tasks = [_task_said(task, now) for task in stage.tasks.values() if task.status is not TaskStatus.PENDING]
    return ", ".join([standing(stage), *tasks] if stage.awaits else tasks)


def _task_said(task: Task, now: datetime) -> str:
    what = task.status.value
    if task.status is TaskStatus.RETRYING and task.due_at is not None:
        what = f"tried again in {duration(max(0.0, (task.due_at - now).total_seconds()))}"
    tries = f" (attempt {len(task.attempts)})" if len(task.attempts) > 1 else ""
    return f"{task.id} {what}{tries}"


def _summary(stage: Stage) -> str:
    last = [task.current for task in stage.tasks.values() if task.current]
    return "; ".join(each.result.summary for each in last if each.result and each.result.summary)
