"""What ``with:`` of a script stage may say."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator

from agents.script.outputs import NAME
from agents.sdk.options import Inside, InsidePaths, Words
from turnout.core.model import Value


def _named(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not NAME.fullmatch(name):
            raise ValueError(
                f"{name!r} is no name of an output: letters, digits and _, at most 64, no digit first"
            )
    return names


class ScriptOptions(Value):
    """``run``: the commands; a list is run line after line in one shell. Empty: ``.turnout/script.sh``.

    ``outputs``: the names that the script must write, and may write; empty: any. ``artifacts``: patterns of files to
    be kept, from ``working_directory``.
    """

    run: Words = ()
    shell: Literal["bash", "sh"] = "bash"
    working_directory: Inside = "."
    outputs: Annotated[Words, AfterValidator(_named)] = ()
    artifacts: InsidePaths = ()
