"""The rules that decide, by name, and what one that compares names with patterns saw: recorded with the plan."""

from __future__ import annotations

from enum import StrEnum

from turnout.core.model import Value


class Rule(StrEnum):
    """Everything that decides whether a run is made, what takes part in it, and how it goes on."""

    # whether a change starts a run
    SKIP_CI = "skip marker"
    ON = "on"
    ON_PUSH_BRANCHES = "on.push.branches"
    ON_PUSH_PATHS = "on.push.paths"
    ON_PULL_REQUEST_BRANCHES = "on.pull_request.branches"
    ON_PULL_REQUEST_PATHS = "on.pull_request.paths"
    ON_TAG = "on.tag.tags"
    ON_DISPATCH = "on.dispatch.types"
    PIPELINE_FILE = "pipeline file"
    RERUN = "rerun"
    # whether a stage takes part
    WHEN = "when"
    WHEN_EVENT = "when.event"
    WHEN_BRANCH = "when.branch"
    WHEN_TAG = "when.tag"
    WHEN_PATHS = "when.paths"
    WHEN_ENVIRONMENT = "when.environment"
    ENVIRONMENT = "environment"
    PROTECTED = "branches.protected"
    FORKS = "forks"
    # when it starts
    CONCURRENCY = "concurrency"
    NEEDS = "needs"
    APPROVAL = "approval"
    ENVIRONMENT_FREE = "environment free"
    OVERTAKEN = "overtaken"
    # how its attempts go
    PARALLEL = "parallel"
    AGENT = "agent"
    LAUNCH_DEADLINE = "launch deadline"
    LEASE = "lease"
    TIMEOUT = "timeout"
    CANCEL_GRACE = "cancel grace"
    RUNTIME = "runtime"
    RETRIES = "retries"
    INFRASTRUCTURE_RETRIES = "infrastructure retries"
    # how things end
    OUTCOME = "outcome"
    ALLOW_FAILURE = "allow_failure"
    FAIL_FAST = "fail_fast"
    CANCEL = "cancel"
    ROLLBACK = "rollback"
    # what is not heeded
    CURRENT_ATTEMPT = "current attempt"
    PROOF = "proof"
    STATE = "state"


class Ruling(Value):
    """What one of the plan's rules said. ``listed``: its patterns or names; ``tags``: those for tags.

    ``saw``: what it compared with them, at most `MOST_SEEN`; ``of``: how many there were, None: that is not known.
    ``where``: the environment that it guards.
    """

    rule: Rule
    holds: bool
    listed: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    saw: tuple[str, ...] = ()
    of: int | None = None
    where: str = ""


MOST_SEEN = 5
