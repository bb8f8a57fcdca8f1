"""How values look on a terminal."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from typing import Any

from rich.console import Console

from turnout.core.model import Outcome
from turnout.core.run import Run, Stage, StageStatus

LIGHTS = {
    Outcome.SUCCESS: "[green]✔[/]",
    Outcome.FAILURE: "[red]✘[/]",
    Outcome.ERROR: "[magenta]![/]",
    Outcome.TIMED_OUT: "[red]⧗[/]",
    Outcome.CANCELLED: "[yellow]⊘[/]",
    Outcome.SKIPPED: "[dim]–[/]",
}
EXIT_STATUS = {
    Outcome.SUCCESS: 0,
    Outcome.FAILURE: 1,
    Outcome.TIMED_OUT: 1,
    Outcome.ERROR: 2,
    Outcome.CANCELLED: 130,
}

console = Console(highlight=False, soft_wrap=True)


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()


def light(stage: Stage) -> str:
    if stage.outcome is not None:
        return LIGHTS[stage.outcome]
    return {StageStatus.WAITING: "[yellow]?[/]", StageStatus.PENDING: "[dim]·[/]"}.get(
        stage.status, "[cyan]●[/]"
    )


def duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s"


def between(start: datetime | None, end: datetime | None) -> str:
    return duration((end - start).total_seconds()) if start and end else ""


def outcome_of(run: Run) -> str:
    return run.outcome.value if run.outcome else run.status.value


def summary(run: Run) -> dict[str, Any]:
    """The last line of ``turnout run --json``, and what the acting verbs print."""
    return {
        "outcome": outcome_of(run),
        "run": run.id,
        "stages": [
            {
                "name": stage.name,
                "outcome": stage.outcome.value if stage.outcome else stage.status.value,
                "attempts": stage.attempts,
            }
            for stage in run.stages.values()
        ],
    }
