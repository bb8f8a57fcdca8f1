"""Which of two changes is the newer state of one ref, in whatever order they came to be known. Pure.

Deliveries come late, twice and out of order; those that GitHub is asked for again come hours late. What a run may
supersede, and what it may deploy over, goes by what happened in the repository.
"""

from __future__ import annotations

from turnout.core.change import Change
from turnout.core.model import ChangeKind
from turnout.core.run import Run

_MOVES = frozenset({ChangeKind.PUSH, ChangeKind.PULL_REQUEST})


def overtaken(change: Change, other: Change) -> bool:
    """Whether ``other`` says where the ref of ``change`` was moved to afterwards. False where that is not known."""
    if not {change.kind, other.kind} <= _MOVES or change.sha == other.sha:
        return False
    if (change.repository, change.ref) != (other.repository, other.ref):
        return False
    if change.moved_at and other.moved_at and change.moved_at != other.moved_at:
        return change.moved_at < other.moved_at
    return other.before == change.sha != "" and change.before != other.sha


def outdated(run: Run, deployed: Run) -> bool:
    """Whether ``run`` would put an older state over what ``deployed`` has brought. A rerun may: somebody wants it."""
    return not run.rerun_of and overtaken(run.change, deployed.change)
