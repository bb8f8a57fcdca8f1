"""What a runner was asked, and what it answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agents.sdk.junit import Case
from agents.sdk.workspace import ToolRun
from agents.test.options import SuiteOptions

MAX_LINES = 10**12


@dataclass(frozen=True, slots=True)
class Asked:
    """``root``: the project's folder in the checkout. ``only``: ids of the cases to run, empty: all."""

    root: Path
    options: SuiteOptions
    only: tuple[str, ...] = ()

    @property
    def cwd(self) -> str:
        return self.options.working_directory

    @property
    def measured(self) -> bool:
        """Coverage of some cases says nothing of the whole."""
        return self.options.measured and not self.only

    def pip(self) -> tuple[str, ...]:
        return tuple(each for each in self.options.install if not each.startswith("npm:"))

    def npm(self) -> tuple[str, ...]:
        return tuple(each.removeprefix("npm:") for each in self.options.install if each.startswith("npm:"))


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines of code, and how many of them ran. Raises: ValueError for more than there are."""

    covered: int
    total: int

    def __post_init__(self) -> None:
        if not 0 <= self.covered <= self.total <= MAX_LINES:
            raise ValueError(f"{self.covered:.9g} of {self.total:.9g} lines are covered")


@dataclass(frozen=True, slots=True)
class Report:
    """``failure``: the code failed in another way than in a case. ``error``: the runner could not do its work.

    ``counted``: False where only the exit status is known.
    """

    runner: str
    cases: tuple[Case, ...] = ()
    tools: Mapping[str, str] = field(default_factory=dict)
    lines: Lines | None = None
    failure: str = ""
    error: str = ""
    counted: bool = True
    exit_code: int | None = None


def ended_by_signal(ran: ToolRun) -> str:
    """Why a runner that a signal ended did so; empty: none ended it."""
    if ran.oom_killed:
        return "ran out of memory and was ended; give the stage more with `resources: {memory: …}`"
    if ran.timed_out:
        return "took too long and was ended"
    return f"was ended by signal {ran.signal}" if ran.code is None else ""


def files_of(ids: Sequence[str]) -> list[str]:
    """The files that cases are in: what stands before the first ``::``, each once."""
    return list(dict.fromkeys(each.partition("::")[0] for each in ids))
