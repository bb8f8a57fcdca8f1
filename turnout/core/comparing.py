"""What a change's files are compared with, to tell which of them it touches. Pure.

As GitHub does it: an older commit of the same branch, also one that a force-push has left behind; or where the branch
and another one have parted. Source: "Workflow syntax for GitHub Actions", git diff comparisons.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from turnout.core.change import Change
from turnout.core.model import ChangeKind

MAX_PATHS, MAX_PATHS_BYTES = 3000, 200_000
"""Of a change that is recorded: more would be carried along with each of its run's steps."""


@dataclass(frozen=True, slots=True)
class Base:
    """``parted``: not with that commit itself, but with the newest that it and the change have in common.

    ``sha``: empty: what ``branch`` points to. ``branch``: also where the commit can't be had any more, empty: no other
    will do.
    """

    sha: str = ""
    branch: str = ""
    parted: bool = False


def base_of(change: Change) -> Base | None:
    """None: there is nothing that says what the change touches."""
    before = change.before if change.before.strip("0") else ""
    match change.kind:
        case ChangeKind.PULL_REQUEST:
            return Base(before, change.base_branch, parted=True) if before or change.base_branch else None
        case ChangeKind.PUSH | ChangeKind.MANUAL:
            if before and not change.base_branch:
                return Base(before)
            return Base(branch=change.base_branch, parted=True) if change.base_branch else None
        case ChangeKind.TAG | ChangeKind.SCHEDULE | ChangeKind.DISPATCH:
            return None  # they are about what is there, not about what has changed
        case _:
            assert_never(change.kind)


def recordable(paths: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """The same, or None where there are too many to be carried along."""
    if paths is None or len(paths) > MAX_PATHS or sum(len(each.encode()) for each in paths) > MAX_PATHS_BYTES:
        return None
    return paths
