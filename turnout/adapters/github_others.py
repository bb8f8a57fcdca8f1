"""GitHub's deliveries that are neither pushes nor pull requests, nor what people ask for: dispatches, pings,
installations, refs that come and go.

Source: https://docs.github.com/en/webhooks/webhook-events-and-payloads
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import Field, ValidationError

from turnout.adapters.github_parts import (
    HEADS,
    MAX_NAME,
    TAGS,
    Part,
    Person,
    Prose,
    Repository,
    check_ref,
    read,
    whole,
)
from turnout.core.change import Change, NoChange
from turnout.core.model import ChangeKind
from turnout.core.nothing import Decided, some

STARTING = ("push", "pull_request", "repository_dispatch")
HEARD = (*STARTING, "check_run", "check_suite", "issue_comment")
"""Events that something follows from, or can."""
MAX_INPUTS, MAX_INPUT = 50, 1000
"""Of a dispatch: how many texts are taken, and the characters of one."""

_INPUT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
_Word = Annotated[Prose, Field(max_length=100)]
_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", max_length=300)]


class _Dispatch(Part):
    action: _Word
    branch: Annotated[Prose, Field(max_length=1000)] = ""
    client_payload: dict[str, Any] | None = None
    repository: Repository
    sender: Person = Person()


class _Hook(Part):
    events: tuple[_Word, ...] = ()


class _Named(Part):
    full_name: _Name


class _Ping(Part):
    hook: _Hook = _Hook()
    repository: _Named | None = None


class _Account(Part):
    login: Prose = ""
    slug: Prose = ""


class _Installed(Part):
    account: _Account | None = None


class _Installation(Part):
    action: _Word
    installation: _Installed = _Installed()
    repositories: tuple[_Named, ...] = ()
    repositories_added: tuple[_Named, ...] = ()
    repositories_removed: tuple[_Named, ...] = ()


class _Ref(Part):
    ref: Annotated[Prose, Field(max_length=1000)]
    ref_type: _Word
    repository: Repository


class _Any(Part):
    action: _Word = ""
    repository: Repository | None = None


def read_dispatch(payload: dict[str, Any]) -> Change | NoChange:
    """A run at the tip of the default branch, or of ``client_payload.ref``. Raises: PermanentError; so do the rest."""
    event = read(_Dispatch, payload)
    given = event.client_payload or {}
    ref = given.get("ref") or event.branch or event.repository.default_branch
    try:
        full = _full_ref(ref)
    except ValueError as error:
        return NoChange(
            repository=event.repository.full_name,
            reason=f"client_payload.ref: {error}",
            rule=Decided.REF,
            values={"client_payload.ref": whole(str(ref))[:200]},
            flips=("it were a branch like `main`, or a full ref like `refs/tags/v1`",),
        )
    return Change(
        kind=ChangeKind.DISPATCH,
        repository=event.repository.full_name,
        clone_url=event.repository.clone_url,
        ref=full,
        sha="",
        branch=full.removeprefix(HEADS) if full.startswith(HEADS) else "",
        tag=full.removeprefix(TAGS) if full.startswith(TAGS) else "",
        author=event.sender.login[:MAX_NAME],
        title=f"dispatch {event.action}",
        action=event.action,
        inputs=dict(_inputs(given)[:MAX_INPUTS]),
    )


def _full_ref(ref: object) -> str:
    """Raises: ValueError."""
    if not isinstance(ref, str) or not ref or len(ref) > 1000:
        raise ValueError("expected the name of a branch, or a full ref")
    if whole(ref) != ref:
        raise ValueError("git allows no such name of a ref")
    full = ref if ref.startswith("refs/") else HEADS + ref
    if not full.startswith((HEADS, TAGS)):
        raise ValueError(f"{ref} is neither a branch nor a tag")
    return check_ref(full)


def _inputs(given: dict[str, Any]) -> list[tuple[str, str]]:
    """Texts, numbers and truth values as text; what is neither, or could be more than one line, is left out."""
    found = []
    for name, value in given.items():
        if isinstance(value, bool):
            value = "true" if value else "false"
        text = str(value) if isinstance(value, str | int | float) else None
        if text is not None and _INPUT.fullmatch(name) and len(text) <= MAX_INPUT and text.isprintable():
            found.append((name, text))
    return found


def read_ping(payload: dict[str, Any]) -> NoChange:
    event = read(_Ping, payload)
    sent = event.hook.events
    missing = [] if not sent or "*" in sent else [each for each in HEARD if each not in sent]
    lacking = (
        f"; the webhook does not send {', '.join(missing)}: choose them in its settings" if missing else ""
    )
    name = event.repository.full_name if event.repository else ""
    return NoChange(
        repository=name,
        reason=f"pong{lacking}",
        rule=Decided.EVENT,
        values={"event": "ping", "events sent": list(sent)},
        flips=_only(STARTING),
        installed=(name,) if name else (),
    )


def read_installation(event: str, payload: dict[str, Any]) -> NoChange:
    """What an App may read from now on, or not any more."""
    found = read(_Installation, payload)
    who = found.installation.account
    where = (who.login or who.slug if who else "")[:MAX_NAME] or "an account"
    added = tuple(each.full_name for each in (*found.repositories, *found.repositories_added))
    removed = tuple(each.full_name for each in found.repositories_removed)
    gone = "GitHub sends nothing of its repositories any more, and their project files may go"
    match found.action:
        case "created" | "added" | "removed":
            parts = [f"the App may read {_few(added)} of {where}"] if added else []
            parts += [f"the App may no longer read {_few(removed)} of {where}; {gone}"] if removed else []
            said = "; ".join(parts) or f"the App was installed by {where}, for no repository"
        case "deleted":
            said, added = f"the App was uninstalled by {where}; {gone}", ()
        case "suspend":
            said, added = (
                f"the App was suspended by {where}: GitHub sends nothing until that is taken back",
                (),
            )
        case "unsuspend":
            said = f"the App's suspension by {where} was taken back"
        case other:
            said, added = f"the App's installation by {where}: {other.replace('_', ' ')}", ()
    return NoChange(
        repository="",
        reason=said,
        rule=Decided.INSTALLATION,
        values={"event": event, "action": found.action, "repositories": some(added or removed)},
        installed=added,
    )


def read_ref(event: str, payload: dict[str, Any]) -> NoChange:
    found = read(_Ref, payload)
    what = f"{found.ref_type} {found.ref}"
    said = f"{what} was created: the push that is delivered with it says what runs"
    return NoChange(
        repository=found.repository.full_name,
        reason=said if event == "create" else f"{what} was deleted",
        rule=Decided.EVENT,
        values={"event": event, found.ref_type: found.ref},
        flips=_only(STARTING),
    )


def nothing_of(event: str, payload: dict[str, Any]) -> NoChange:
    """An event that nothing follows from."""
    try:
        found = _Any.model_validate(payload)
    except ValidationError:
        found = _Any()
    return NoChange(
        repository=found.repository.full_name if found.repository else "",
        reason=f"a {event!r} event starts no run",
        rule=Decided.EVENT,
        values={"event": event, **({"action": found.action} if found.action else {})},
        flips=_only(STARTING),
    )


def _only(events: tuple[str, ...]) -> tuple[str, ...]:
    return (f"the event were one of {', '.join(events)}",)


def _few(names: tuple[str, ...]) -> str:
    more = len(names) - 5
    return ", ".join(names[:5]) + (f" and {more} more" if more > 0 else "")
