"""What one pipeline took, by the clock of its own commands.

Every system runs the same command in every stage: ``sh`` that starts ``date``, whose line of output is the time at
which it ran. It is read from where the system keeps a command's output, so nothing is added to any system, no process
watches, and a sandbox is no obstacle. The stamp falls about a millisecond after the shell was started and just before
it ends; it stands for both ends of the command.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

STAMP = "date +%s%N"
"""The command of every stage: nanoseconds of the wall clock, which is also `time.time_ns`."""
STAGES = 5
_LINE = re.compile(rb"^(\d{19})\r?$", re.MULTILINE)


def read_stamp(output: bytes) -> int | None:
    """The last stamp in what a command has written; None: there is none yet."""
    found = _LINE.findall(output)
    return int(found[-1]) if found else None


@dataclass(frozen=True)
class Timeline:
    """Nanoseconds of the wall clock. ``sent``: the request began; ``answered``: the system has taken it; ``stamps``:
    the commands, in order of their stages."""

    sent: int
    answered: int
    stamps: tuple[int, ...]

    @property
    def accept(self) -> float:
        """From the request to its answer, in milliseconds."""
        return (self.answered - self.sent) / 1e6

    @property
    def start(self) -> float:
        """From the request to the first command, in milliseconds."""
        return (self.stamps[0] - self.sent) / 1e6

    @property
    def steps(self) -> tuple[float, ...]:
        """From each command to the next one, in milliseconds."""
        return tuple(
            (after - before) / 1e6 for before, after in zip(self.stamps, self.stamps[1:], strict=False)
        )

    @property
    def whole(self) -> float:
        """From the request to the last command, in milliseconds."""
        return (max(self.stamps) - self.sent) / 1e6


@dataclass(frozen=True)
class Burst:
    """``pipelines`` asked for as fast as they are taken. Nanoseconds of the wall clock: ``began``: the first request;
    ``taken``: the last answer; ``ended``: the last command of the last pipeline."""

    pipelines: int
    began: int
    taken: int
    ended: int

    @property
    def rate(self) -> float:
        """Pipelines a second, from the first request until all have ended."""
        return self.pipelines / ((self.ended - self.began) / 1e9)
