"""What a person sees of a state: a light, its word, its mark; and times as people say them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from turnout.core.model import Outcome
from turnout.core.plan import PlannedTask
from turnout.core.run import Run, Task, TaskStatus
from turnout.core.tally import StageEnd
from turnout.reporting.policy import BAD
from turnout.reporting.view import Light, look

LIGHT_WORDS: dict[Light, str] = {
    Light.PENDING: "pending",
    Light.WAITING: "waiting",
    Light.RUNNING: "running",
    Light.RETRYING: "trying again",
    Light.SUCCESS: "passed",
    Light.ALLOWED: "failed, allowed",
    Light.FAILURE: "failed",
    Light.ERROR: "error",
    Light.TIMED_OUT: "timed out",
    Light.CANCELLED: "cancelled",
    Light.SKIPPED: "skipped",
}


def stage_lights(run: Run) -> dict[str, Light]:
    return {stage.name: stage.light for stage in look(run).stages}


def ended_light(stage: StageEnd) -> Light:
    """The same as `stage_lights` says of a run that has ended."""
    if stage.allowed and stage.outcome in BAD:
        return Light.ALLOWED
    return Light(stage.outcome.value) if stage.outcome else Light.PENDING


def outcome_light(outcome: str, status: str = "") -> Light:
    """Of a row that has no more than these two."""
    if outcome:
        return Light(outcome)
    match status:
        case "queued":
            return Light.PENDING
        case "cancelling":
            return Light.CANCELLED
        case _:
            return Light.RUNNING


def task_light(task: Task) -> Light:
    match task.status:
        case TaskStatus.PENDING:
            return Light.PENDING
        case TaskStatus.RETRYING:
            return Light.RETRYING
        case TaskStatus.FINISHED:
            return Light(task.outcome.value) if task.outcome else Light.PENDING
        case TaskStatus.LAUNCHED | TaskStatus.STARTED | TaskStatus.SETTLING:
            return Light.RETRYING if len(task.attempts) > 1 else Light.RUNNING


def attempt_light(outcome: Outcome | None) -> Light:
    return Light(outcome.value) if outcome else Light.RUNNING


def cell_name(task: PlannedTask) -> str:
    """``3.12 · linux`` for ``unit[os=linux,python=3.12]``; the task's id where it is no cell."""
    return " · ".join(task.cell.values()) or task.id


def duration(seconds: float | None) -> str:
    """``0.4 s``, ``42 s``, ``3 m 05 s``, ``2 h 10 m``, ``3 d 4 h``; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 9.95:
        return f"{max(seconds, 0):.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} m {whole % 60:02} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02} m"
    return f"{whole // 86400} d {whole % 86400 // 3600} h"


def span_words(start: datetime | None, end: datetime | None) -> str:
    return duration((end - start).total_seconds()) if start and end else ""


def ago(at: datetime, now: datetime) -> str:
    """``just now``, ``5 min ago``, ``3 h ago``, ``yesterday``, ``12 Mar``, ``12 Mar 2024``."""
    passed = now - at
    if passed < timedelta(minutes=1):
        return "just now"
    if passed < timedelta(hours=1):
        return f"{passed.seconds // 60} min ago"
    if passed < timedelta(hours=24):
        return f"{passed.seconds // 3600} h ago"
    if passed < timedelta(hours=48):
        return "yesterday"
    day = f"{at.day} {at:%b}"
    return day if at.year == now.year else f"{day} {at.year}"


def day_name(at: datetime, now: datetime) -> str:
    """The heading of a day: ``Today``, ``Yesterday``, ``Monday 3 March``. UTC."""
    day, today = at.astimezone(UTC).date(), now.astimezone(UTC).date()
    if day == today:
        return "Today"
    if day == today - timedelta(days=1):
        return "Yesterday"
    return f"{day:%A} {day.day} {day:%B}" + (f" {day.year}" if day.year != today.year else "")


def size(count: int) -> str:
    """Bytes as people say them, in powers of 1000."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            return f"{amount:.0f} {unit}" if unit == "B" or amount >= 100 else f"{amount:.1f} {unit}"
        amount /= 1000
    raise AssertionError
