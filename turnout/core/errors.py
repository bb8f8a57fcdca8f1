"""Errors, split by one question: can trying again help?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace


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


class Newer(TransientError):
    """A newer Turnout has recorded what this one does not know: it must decide nothing on it, and a newer one will."""


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
    """A configuration file with every problem found in it, in the order of their lines.

    What a problem says is cut where the file's author has chosen very long names: it travels to people, by mail too.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        ordered = sorted(problems, key=lambda p: (p.file, p.line, p.column, p.path))
        self.problems = tuple(
            replace(p, path=_cut(p.path, 200), message=_cut(p.message, 500), hint=_cut(p.hint, 300))
            for p in ordered
        )
        count = len(self.problems)
        noun = "problem" if count == 1 else "problems"
        lines = [f"{count} {noun} found:"]
        left = MAX_TOLD
        for each in self.problems:
            text = str(each)
            left -= len(text)
            if left < 0:
                lines.append(f"… and {count - len(lines) + 1} more")
                break
            lines.append(text)
        super().__init__("\n".join(lines))


MAX_TOLD = 20_000
"""Characters that all problems of a file are told in together."""


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
