"""What happened in a repository."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import Field

from turnout.core.model import ChangeKind, Value
from turnout.core.nothing import Nothing


class Change(Value):
    """A push, pull request, tag, manual request, schedule or dispatch, at one exact commit.

    ``repository`` is ``owner/name``; ``clone_url`` any URL or local path that git can read;
    ``ref`` a full ref (``refs/heads/main``); ``sha`` and ``before`` 40 hex digits, ``before`` empty when
    the ref is new. ``paths`` are the files changed, None when not known. ``config_sha`` is the commit
    whose pipeline file counts (the base's for a fork), empty: ``sha``. ``dirty``: the commit is a
    snapshot of a working tree with uncommitted changes. ``sha`` is empty where only the ref is known yet: the planner
    finds its commit. ``action`` and ``inputs``: of a dispatch, its type, and what came with it, as text.
    ``committed_at``: when the commit was made, None: not known. ``moved_at``: when the ref was moved to it, in whole
    seconds; None: not known (`turnout.core.overtaking`).
    """

    kind: ChangeKind
    repository: str
    clone_url: str
    ref: str
    sha: str
    before: str = ""
    branch: str = ""
    tag: str = ""
    base_branch: str = ""
    number: int = 0
    fork: bool = False
    author: str = ""
    title: str = ""
    message: str = ""
    url: str = ""
    paths: tuple[str, ...] | None = None
    config_sha: str = ""
    dirty: bool = False
    action: str = ""
    inputs: dict[str, str] = Field(default_factory=dict)
    committed_at: datetime | None = None
    moved_at: datetime | None = None


class NoChange(Nothing):
    """A delivery that asks for no run, and why. ``repository`` is empty for events of an organisation or an app.

    ``installed``: repositories that an App may read from now on.
    """

    repository: str
    installed: tuple[str, ...] = ()


class Ask(Value):
    """What a person asks of a run that is there, or for one of a pull request.

    ``run``: its id; empty: the newest of pull request ``number``, or of commit ``sha``. ``stage``: empty: the whole, or
    for an approval the stages that wait. ``permitted``: whoever hosts the repository has seen to it that ``by`` may
    write to it; otherwise it has to be asked. ``close``: the pull request is over, so nobody waits for its runs.
    ``at``: when it was said, None: not known.
    """

    repository: str
    verb: Literal["run", "rerun", "rerun failed", "cancel", "approve", "reject", "close"]
    by: str
    run: str = ""
    sha: str = ""
    number: int = 0
    stage: str = ""
    comment: str = ""
    permitted: bool = False
    at: datetime | None = None
