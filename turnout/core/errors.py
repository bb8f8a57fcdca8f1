"""Errors, split by one question: can trying again help?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


class TurnoutError(Exception):
    """Anything Turnout raises on purpose: what went wrong, and what to do next.

    ``hint`` is an instruction for the person who reads the message; it may be empty where the
    message already says it.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message


class PermanentError(TurnoutError):
    """Trying again cannot help: the message goes to the dead letters with this reason."""


class TransientError(TurnoutError):
    """Trying again can help: the message is redelivered with backoff.

    ``retry_after``: seconds the other side asked us to wait, or None.
    """

    def __init__(self, message: str, hint: str = "", *, retry_after: float | None = None) -> None:
        super().__init__(message, hint)
        self.retry_after = retry_after


class InvalidEnvelope(PermanentError):
    """A message that is not one of ours, or carries a payload of the wrong shape."""


class NotFound(PermanentError):
    """A run, stage, project or artifact that does not exist."""


class Conflict(TransientError):
    """Another process appended to the run first; reload and decide again."""


class Duplicate(TurnoutError):
    """The inbox holds this message already: it has been handled."""


class Rebalanced(TransientError):
    """A partition is owned by another member of the group now."""


class IllegalTransition(PermanentError):
    """An event that cannot follow the state it was applied to: a defect, never bad input."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong in a configuration file, where it is and what would be right.

    ``line`` and ``column`` count from 1; 0 means that the position is unknown.
    ``path`` is like ``pipeline.stages[2].retries.max``.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        text = f"{where}: {self.path}: {self.message}" if self.path else f"{where}: {self.message}"
        return f"{text}; {self.hint}" if self.hint else text


class InvalidConfig(PermanentError):
    """A configuration file with every problem found in it, in the order of their lines."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path)))
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        super().__init__(f"{count} {noun} found:\n" + "\n".join(str(p) for p in self.problems))
