"""Attempts whose worker has died: the next worker says so at once, instead of letting their leases run out."""

from __future__ import annotations

import os
from collections.abc import Collection
from pathlib import Path

import structlog

from agents.sdk import answers
from agents.sdk.attempt import folder_of
from agents.sdk.readiness import remove_left_spares
from agents.sdk.spool import Spool
from turnout.core.errors import TransientError
from turnout.core.messages import TaskRequested
from turnout.core.model import Outcome, Value
from turnout.core.ports import Claims, Clock
from turnout.core.result import Result
from turnout.runtimes.sandbox import lives, remove_tree

_log = structlog.get_logger()
_NOTE = "task.json"


class Note(Value):
    """What is needed to speak for an attempt whose worker can't any more."""

    worker: str
    task: TaskRequested


def leave_note(home: Path, worker: str, task: TaskRequested) -> None:
    """In the attempt's folder, before it may have effects. Raises: TransientError when the disk takes nothing."""
    folder = folder_of(home, task.attempt)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / _NOTE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(Note(worker=worker, task=task).model_dump_json())
    except OSError as error:
        raise TransientError(
            f"{folder} can't be written: {error.strerror}", "make room on the disk"
        ) from error


def speak_for_orphans(
    claims: Claims, home: Path, clock: Clock, spool: Spool, answered: Collection[str]
) -> None:
    """``answered``: attempts whose result had been left in the spool: there is nothing to add."""
    for attempt in claims.orphans():
        if attempt in answered:
            continue
        try:
            note = Note.model_validate_json((folder_of(home, attempt) / _NOTE).read_bytes(), extra="ignore")
        except (OSError, ValueError) as error:
            _log.error(
                "nothing is known of a lost attempt; its lease will end", attempt=attempt, reason=str(error)
            )
            claims.finished(attempt)
            continue
        reason = f"the worker {note.worker} died while it ran"
        result = Result(outcome=Outcome.ERROR, lost=True, summary=f"lost: {reason}", reason=reason)
        spool.send(answers.finished(note.task, note.worker, clock.now(), result), note.task.agent)


def remove_left_folders(claims: Claims, home: Path) -> None:
    """What attempts that ended, or never began, left in this home."""
    base = home / "attempts"
    for attempt in sorted(os.listdir(base)) if base.is_dir() else ():
        if claims.state(attempt) in ("free", "finished", "lost"):
            remove_folder(base / attempt)
    remove_left_spares(home, lives)


def remove_folder(folder: Path) -> None:
    try:
        remove_tree(folder)
    except OSError as error:
        _log.warning("an attempt's folder can't be removed", folder=str(folder), reason=str(error))
