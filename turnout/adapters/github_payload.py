"""GitHub's webhook payloads, read into a `Change`, or into the reason why a delivery asks for nothing.

Only the fields that are used are modelled; GitHub adds others at will.
Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, FailFast, Field

from turnout.adapters.github_asks import APPROVE_LABEL, read_check_run, read_check_suite, read_comment
from turnout.adapters.github_others import (
    nothing_of,
    read_dispatch,
    read_installation,
    read_ping,
    read_ref,
)
from turnout.adapters.github_parts import (
    HEADS,
    MAX_NAME,
    TAGS,
    Part,
    Person,
    Prose,
    Repository,
    Sha,
    check_branch,
    check_ref,
    object_of,
    read,
    whole,
)
from turnout.core.change import Ask, Change, NoChange
from turnout.core.comparing import recordable
from turnout.core.model import ChangeKind
from turnout.core.nothing import Decided

GONE = "0" * 40
PULL_REQUEST_ACTIONS = frozenset({"opened", "synchronize", "reopened"})
MAX_LISTED_COMMITS = 20
"""GitHub lists at most this many commits in a push: with more, the changed files are not all known."""
MAX_URL = 2000
MAX_COMMITS = 2048
"""Source: "Webhook events and payloads", push: the array holds at most so many."""


_Paths = Annotated[tuple[str, ...], FailFast()]


class _Label(Part):
    name: Prose = ""


class _Commit(Part):
    id: Sha | Literal[""] = ""
    message: Prose = ""
    timestamp: Prose | None = None
    author: Person = Person()
    added: _Paths = ()
    modified: _Paths = ()
    removed: _Paths = ()


class _Push(Part):
    ref: Annotated[str, Field(pattern=r"^refs/", max_length=1000), AfterValidator(check_ref)]
    before: Sha
    after: Sha
    deleted: bool = False
    forced: bool = False
    compare: Prose = ""
    head_commit: _Commit | None = None
    commits: Annotated[tuple[_Commit, ...], FailFast(), Field(max_length=MAX_COMMITS)] = ()
    repository: Repository
    sender: Person = Person()


class _End(Part):
    ref: Annotated[str, Field(max_length=1000), AfterValidator(check_branch)]
    sha: Sha
    repo: Repository | None = None


class _PullRequest(Part):
    number: int = Field(ge=1, lt=2**31)
    title: Prose = ""
    html_url: Prose = ""
    user: Person | None = None
    merged: bool | None = None
    updated_at: Prose | None = None
    head: _End
    base: _End


class _PullRequestEvent(Part):
    action: Annotated[Prose, Field(max_length=100)]
    pull_request: _PullRequest
    repository: Repository
    label: _Label = _Label()
    sender: Person = Person()


def read_payload(event: str, body: bytes) -> Change | NoChange | Ask:
    """What a delivery says. ``event`` is the ``X-GitHub-Event`` header, ``body`` the raw JSON.

    Raises: PermanentError naming the field that is missing or wrong.
    """
    payload = object_of(body)
    match event:
        case "push":
            return _push(read(_Push, payload))
        case "pull_request":
            return _pull_request(read(_PullRequestEvent, payload))
        case "repository_dispatch":
            return read_dispatch(payload)
        case "check_run":
            return read_check_run(payload)
        case "check_suite":
            return read_check_suite(payload)
        case "issue_comment":
            return read_comment(payload)
        case "ping":
            return read_ping(payload)
        case "installation" | "installation_repositories":
            return read_installation(event, payload)
        case "create" | "delete":
            return read_ref(event, payload)
        case _:
            return nothing_of(event, payload)


def read_pull_request(found: dict[str, Any]) -> Change:
    """A pull request as GitHub's API tells of it. Raises: PermanentError."""
    base = found.get("base")
    repository = base.get("repo") if isinstance(base, dict) else None
    event = {"action": "opened", "pull_request": found, "repository": repository}
    change = _pull_request(read(_PullRequestEvent, event))
    assert isinstance(change, Change)
    return change


def _push(push: _Push) -> Change | NoChange:
    name = push.repository.full_name
    if push.deleted or push.after.strip("0") == "":
        return NoChange(
            repository=name, reason=f"{push.ref} was deleted", rule=Decided.REF, values={"ref": push.ref}
        )
    if not push.ref.startswith((HEADS, TAGS)):
        return NoChange(
            repository=name,
            reason=f"{push.ref} is neither a branch nor a tag",
            rule=Decided.REF,
            values={"ref": push.ref},
            flips=("the commit were pushed to a branch, or as a tag",),
        )
    tag = push.ref.removeprefix(TAGS) if push.ref.startswith(TAGS) else ""
    new = push.before.strip("0") == ""
    message = push.head_commit.message if push.head_commit else ""
    return Change(
        kind=ChangeKind.TAG if tag else ChangeKind.PUSH,
        repository=name,
        clone_url=push.repository.clone_url,
        ref=push.ref,
        sha=_commit_of(push),
        before="" if new else push.before,
        branch="" if tag else push.ref.removeprefix(HEADS),
        tag=tag,
        base_branch=_base_of(push, new),
        author=_author(push),
        title=message.split("\n", 1)[0][:200],
        message=message[:10_000],
        committed_at=_instant(push.head_commit.timestamp) if push.head_commit else None,
        moved_at=_seconds(push.repository.pushed_at),
        url=push.compare[:MAX_URL],
        paths=None if tag or new or push.forced else _paths(push.commits),
    )


def _base_of(push: _Push, new: bool) -> str:
    """What a new branch is compared with to know its files; a branch that was there is compared with itself before."""
    default = push.repository.default_branch
    return default if new and push.ref != HEADS + default else ""


def _commit_of(push: _Push) -> str:
    """A pushed annotated tag's ``after`` is the tag object; its commit is the head commit's id."""
    return (push.head_commit.id if push.head_commit else "") or push.after


def _instant(said: str | None) -> datetime | None:
    """Whoever makes a commit says when that was: what is no time, or none of Git's days, is not known."""
    try:
        found = datetime.fromisoformat(said or "")
    except ValueError:
        return None
    return found if found.tzinfo and 1990 <= found.year <= 9000 else None


def _seconds(said: object) -> datetime | None:
    """A push says in seconds since the epoch when it was; what is none is not known."""
    known = isinstance(said, int) and 0 < said < 2**35 and not isinstance(said, bool)
    return datetime.fromtimestamp(said, UTC) if known and isinstance(said, int) else None


def _author(push: _Push) -> str:
    if push.sender.login:
        return push.sender.login[:MAX_NAME]
    return (push.head_commit.author.name or "")[:MAX_NAME] if push.head_commit else ""


def _paths(commits: tuple[_Commit, ...]) -> tuple[str, ...] | None:
    """None where it takes git to tell: GitHub lists no files of a merge, nor of a commit that is too large for it."""
    if not commits or len(commits) >= MAX_LISTED_COMMITS:
        return None
    listed = [(*each.added, *each.modified, *each.removed) for each in commits]
    if not all(listed):
        return None
    return recordable(tuple(sorted({whole(path) for each in listed for path in each})))


def _pull_request(event: _PullRequestEvent) -> Change | NoChange | Ask:
    request, name = event.pull_request, event.repository.full_name
    if event.action == "labeled" and event.label.name == APPROVE_LABEL:
        who = event.sender.login[:MAX_NAME]
        return Ask(repository=name, verb="approve", by=who, sha=request.head.sha, number=request.number)
    if event.action == "closed" and not request.merged:
        who = event.sender.login[:MAX_NAME]
        return Ask(repository=name, verb="close", by=who or "GitHub", number=request.number, permitted=True)
    if event.action not in PULL_REQUEST_ACTIONS:
        was = "merged" if request.merged and event.action == "closed" else event.action
        return NoChange(
            repository=name,
            reason=f"pull request #{request.number} was {was}",
            rule=Decided.EVENT,
            values={
                "event": "pull_request",
                "action": was,
                **({"label": event.label.name} if event.label.name else {}),
            },
            flips=(
                f"the action were one of {', '.join(sorted(PULL_REQUEST_ACTIONS))}",
                f"somebody who may write said `/turnout run`, or put the label {APPROVE_LABEL} on it",
            ),
        )
    head = request.head.repo
    fork = head is None or head.full_name.lower() != name.lower()
    return Change(
        kind=ChangeKind.PULL_REQUEST,
        repository=name,
        clone_url=event.repository.clone_url,
        ref=f"refs/pull/{request.number}/head",
        sha=request.head.sha,
        before=request.base.sha,
        branch=request.head.ref,
        base_branch=request.base.ref,
        number=request.number,
        fork=fork,
        author=request.user.login[:MAX_NAME] if request.user else "",
        title=request.title[:200],
        url=request.html_url[:MAX_URL],
        config_sha=request.base.sha if fork else "",
        moved_at=_instant(request.updated_at),
    )
