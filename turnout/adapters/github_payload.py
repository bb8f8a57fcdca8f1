"""GitHub's webhook payloads, read into a `Change`, or into the reason why a delivery asks for nothing.

Only the fields that are used are modelled; GitHub adds others at will.
Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turnout.core.change import Change, NoChange
from turnout.core.errors import PermanentError
from turnout.core.model import ChangeKind

GONE = "0" * 40
HEADS, TAGS = "refs/heads/", "refs/tags/"
PULL_REQUEST_ACTIONS = frozenset({"opened", "synchronize", "reopened"})
MAX_LISTED_COMMITS = 20
"""GitHub lists at most this many commits in a push: with more, the changed files are not all known."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class _Repository(_Part):
    full_name: str = Field(pattern=r"^[^/\s]+/[^/\s]+$", max_length=300)
    clone_url: str = Field(max_length=2000)
    default_branch: str = ""
    fork: bool = False


class _Person(_Part):
    login: str = ""
    name: str | None = None


class _Commit(_Part):
    id: str = ""
    message: str = ""
    author: _Person = _Person()
    added: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class _Push(_Part):
    ref: str = Field(pattern=r"^refs/", max_length=1000)
    before: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    after: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    deleted: bool = False
    forced: bool = False
    compare: str = ""
    head_commit: _Commit | None = None
    commits: tuple[_Commit, ...] = ()
    repository: _Repository
    sender: _Person = _Person()


class _End(_Part):
    ref: str = Field(max_length=1000)
    sha: str = Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")
    repo: _Repository | None = None


class _PullRequest(_Part):
    number: int = Field(ge=1)
    title: str = ""
    html_url: str = ""
    user: _Person | None = None
    head: _End
    base: _End


class _PullRequestEvent(_Part):
    action: str
    pull_request: _PullRequest
    repository: _Repository


class _Any(_Part):
    repository: _Repository | None = None


_Model = TypeVar("_Model", bound=_Part)


def read_payload(event: str, body: bytes) -> Change | NoChange:
    """What a delivery says. ``event`` is the ``X-GitHub-Event`` header, ``body`` the raw JSON.

    Raises: PermanentError naming the field that is missing or wrong.
    """
    payload = _object(body)
    match event:
        case "push":
            return _push(_read(_Push, payload))
        case "pull_request":
            return _pull_request(_read(_PullRequestEvent, payload))
        case _:
            found = _repository_of(payload)
            said = "pong" if event == "ping" else f"a {event!r} event starts no run"
            return NoChange(repository=found, reason=said)


def _repository_of(payload: dict[str, Any]) -> str:
    try:
        repository = _Any.model_validate(payload).repository
    except ValidationError:
        return ""
    return repository.full_name if repository else ""


def _push(push: _Push) -> Change | NoChange:
    name = push.repository.full_name
    if push.deleted or push.after.strip("0") == "":
        return NoChange(repository=name, reason=f"{push.ref} was deleted")
    if not push.ref.startswith((HEADS, TAGS)):
        return NoChange(repository=name, reason=f"{push.ref} is neither a branch nor a tag")
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
        url=push.compare,
        paths=None if tag or new or push.forced else _paths(push.commits),
    )


def _base_of(push: _Push, new: bool) -> str:
    """What a new branch is compared with to know its files; a branch that was there is compared with itself before."""
    default = push.repository.default_branch
    return default if new and push.ref != HEADS + default else ""


def _commit_of(push: _Push) -> str:
    """A pushed annotated tag's ``after`` is the tag object; its commit is the head commit's id."""
    return (push.head_commit.id if push.head_commit else "") or push.after


def _author(push: _Push) -> str:
    if push.sender.login:
        return push.sender.login
    return (push.head_commit.author.name or "") if push.head_commit else ""


def _paths(commits: tuple[_Commit, ...]) -> tuple[str, ...] | None:
    if not commits or len(commits) >= MAX_LISTED_COMMITS:
        return None
    return tuple(sorted({path for c in commits for path in (*c.added, *c.modified, *c.removed)}))


def _pull_request(event: _PullRequestEvent) -> Change | NoChange:
    request, name = event.pull_request, event.repository.full_name
    if event.action not in PULL_REQUEST_ACTIONS:
        return NoChange(repository=name, reason=f"pull request #{request.number} was {event.action}")
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
        author=request.user.login if request.user else "",
        title=request.title[:200],
        url=request.html_url,
        config_sha=request.base.sha if fork else "",
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PermanentError(
            f"the body is not JSON: {error}", "set the webhook's content type to application/json"
        ) from error
    if not isinstance(found, dict):
        raise PermanentError(f"the body is a JSON {type(found).__name__}, expected an object")
    return found


def _read(model: type[_Model], payload: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise PermanentError(f"{path}: {first['msg']}, got {str(first['input'])[:80]!r}") from error
