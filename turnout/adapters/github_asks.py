"""What people ask for on GitHub: a button of a check, a comment, a label. Read from its webhook payloads.

A button is shown to those who may write to the repository, so GitHub has checked that. A comment can be anybody's.
Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads (check_run, check_suite, issue_comment)
"""

from __future__ import annotations

import re
from typing import Any, Literal, get_args

from pydantic import AwareDatetime, Field

from turnout.adapters.github_parts import MAX_NAME, Part, Person, Prose, Repository, Sha, read
from turnout.core.change import Ask, NoChange
from turnout.core.nothing import Decided

APPROVE_LABEL = "turnout:approve"
"""Put on a pull request it approves what waits in the run of the commit that the request then has."""
HOW = "`/turnout run|rerun [failed|STAGE]|cancel|approve [STAGE]|reject [STAGE]`"

_EXTERNAL = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}):check(?::(.+))?")
"""As `turnout.reporting.github_channel` calls its checks."""
_Verb = Literal["run", "rerun", "cancel", "approve", "reject"]


class _CheckRun(Part):
    external_id: Prose | None = ""
    head_sha: Sha


class _Action(Part):
    identifier: Prose = ""


class _CheckRunEvent(Part):
    action: Prose
    check_run: _CheckRun
    requested_action: _Action | None = None
    repository: Repository
    sender: Person = Person()


class _CheckSuite(Part):
    head_sha: Sha


class _CheckSuiteEvent(Part):
    action: Prose
    check_suite: _CheckSuite
    repository: Repository
    sender: Person = Person()


class _Issue(Part):
    number: int = Field(ge=1, lt=2**31)
    pull_request: dict[str, Any] | None = None


class _Comment(Part):
    body: Prose | None = ""
    created_at: AwareDatetime | None = None


class _CommentEvent(Part):
    action: Prose
    issue: _Issue
    comment: _Comment
    repository: Repository
    sender: Person = Person()


_TURNS = {
    "check_run": "somebody pressed Re-run, Approve or Reject of a check of Turnout's",
    "check_suite": "somebody pressed Re-run all checks",
    "issue_comment": f"a new comment in a pull request began with {HOW}",
}


def _nothing(repository: str, event: str, action: str, reason: str) -> NoChange:
    return NoChange(
        repository=repository,
        reason=reason,
        rule=Decided.EVENT,
        values={"event": event, "action": action[:100]},
        flips=(_TURNS[event],),
    )


def read_check_run(payload: dict[str, Any]) -> NoChange | Ask:
    """Raises: PermanentError, as do those below."""
    event = read(_CheckRunEvent, payload)
    name, by = event.repository.full_name, event.sender.login[:MAX_NAME]
    ours = _EXTERNAL.fullmatch(event.check_run.external_id or "")
    if ours is None:
        return _nothing(name, "check_run", event.action, "the check is not one of Turnout's")
    run, stage = ours[1], ours[2] or ""
    if event.action == "rerequested":
        return Ask(repository=name, verb="rerun", by=by, run=run, stage=stage, permitted=True)
    wanted = event.requested_action.identifier if event.requested_action else ""
    if event.action == "requested_action" and wanted in ("approve", "reject"):
        verb: Literal["approve", "reject"] = "approve" if wanted == "approve" else "reject"
        return Ask(repository=name, verb=verb, by=by, run=run, stage=stage, permitted=True)
    return _nothing(name, "check_run", event.action, f"a check was {event.action[:100]}")


def read_check_suite(payload: dict[str, Any]) -> NoChange | Ask:
    event = read(_CheckSuiteEvent, payload)
    name = event.repository.full_name
    if event.action != "rerequested":
        return _nothing(name, "check_suite", event.action, f"the checks were {event.action[:100]}")
    sha, by = event.check_suite.head_sha, event.sender.login[:MAX_NAME]
    return Ask(repository=name, verb="rerun", by=by, sha=sha, permitted=True)


def read_comment(payload: dict[str, Any]) -> NoChange | Ask:
    event = read(_CommentEvent, payload)
    name = event.repository.full_name
    words = (event.comment.body or "").strip().partition("\n")[0].split()
    if event.action != "created" or not words or words[0] != "/turnout":
        return _nothing(name, "issue_comment", event.action, "a comment that asks nothing of Turnout")
    if event.issue.pull_request is None:
        said = "what is asked of Turnout belongs into a pull request"
        return _nothing(name, "issue_comment", event.action, said)
    verb, rest = (words[1] if len(words) > 1 else ""), words[2:]
    if verb not in get_args(_Verb) or len(rest) > 1 or (rest and verb in ("run", "cancel")):
        said = f"{' '.join(words)[:200]!r} is nothing that can be asked: {HOW}"
        return _nothing(name, "issue_comment", event.action, said)
    stage = rest[0] if rest else ""
    if verb == "rerun" and stage == "failed":
        verb, stage = "rerun failed", ""
    return Ask.model_validate(
        {
            "repository": name,
            "verb": verb,
            "by": event.sender.login[:MAX_NAME],
            "number": event.issue.number,
            "stage": stage[:MAX_NAME],
            "at": event.comment.created_at,
        }
    )
