"""The use case of somebody who wants to change something: whether they may is found out, and written down, and then it
is done. REST, pages and Slack all come this way, and no other way leads to an effect.

A refusal is written down, too. What cannot be done (the run has ended) is refused without a word in the log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from turnout.commanding import Commands
from turnout.core import messages as m
from turnout.core.access import EVERYWHERE, Role, Scope, Viewer, role_to_decide
from turnout.core.change import Change
from turnout.core.dead_letters import DeadLetter
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ids import derive
from turnout.core.policy import may_approve
from turnout.core.ports.accounts import ApiToken, AuditEntry
from turnout.core.run import Run, StageStatus
from turnout.identifying import Identity

LONGEST_TOKEN = timedelta(days=366)
LONGEST_SAID = 500
_PROJECT = re.compile(r"[A-Za-z0-9._-]{1,100}/[A-Za-z0-9._-]{1,100}")


class NotAllowed(PermanentError):
    """They may not, and it is written down that they tried."""


class NotNow(PermanentError):
    """They may, but as things stand it can't be done."""


@dataclass(frozen=True, slots=True)
class Actor:
    """``address``: where they come from. ``key``: what they ask for again with the same one is done once."""

    viewer: Viewer
    address: str = ""
    key: str = ""


@dataclass(frozen=True)
class Acting:
    """``redrive`` and ``discard`` take dead letters, and say how many they have taken."""

    identity: Identity
    commands: Commands
    redrive: Callable[[Sequence[DeadLetter]], int]
    discard: Callable[[Sequence[DeadLetter]], int]

    # --- runs ---------------------------------------------------------------------------------

    def start(self, by: Actor, change: Change, pipeline_file: str = "") -> str:
        """The id of the run that is to come."""
        subject = f"{change.branch or change.tag or change.ref} {change.sha[:12]}"
        self._permit(by, Role.OPERATOR, "start", subject, change.repository)
        return self.commands.request_run(
            change, by.viewer.name, pipeline_file, key=_key(by, "start", change.repository, change.ref)
        )

    def cancel(self, by: Actor, run: Run, reason: str = "") -> None:
        reason = _plain(reason)
        self._permit(by, Role.OPERATOR, "cancel", run.id, run.project, reason)
        key = _key(by, "cancel", run.id)
        if self.commands.heard(m.CancelRun, run, by.viewer.name, key):
            return
        if run.finished:
            raise NotNow(f"run {run.id[:12]} has ended already", "there is nothing to cancel")
        self.commands.cancel(run, by.viewer.name, reason, key=key)

    def rerun(self, by: Actor, run: Run, *, failed: bool = False, stage: str = "") -> str:
        """The id of the new run."""
        what = f"{run.id} {stage}".strip() if stage else f"{run.id} failed" if failed else run.id
        self._permit(by, Role.OPERATOR, "rerun", what, run.project)
        if failed and stage:
            raise PermanentError("`failed` and `stage` exclude each other", "give one of them")
        if not run.finished:
            raise NotNow(f"run {run.id[:12]} has not ended", f"`turnout cancel {run.id[:12]}` first")
        if run.plan is None:
            raise NotNow(f"run {run.id[:12]} has no plan: its file was not valid", "push a fix instead")
        if stage and stage not in run.stages:
            raise NotFound(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
        return self.commands.rerun(
            run, by.viewer.name, failed=failed, stage=stage, key=_key(by, "rerun", what)
        )

    def decide(
        self, by: Actor, verb: Literal["approve", "reject"], run: Run, stage: str, comment: str = ""
    ) -> None:
        """Raises: as all here NotAllowed; NotFound, NotNow where the stage does not wait."""
        if stage not in run.stages:
            raise NotFound(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
        planned = run.planned(stage).approval
        allowed = planned.by if planned else ()
        subject, project, viewer = f"{run.id} {stage}", run.project, by.viewer
        teams, comment = self.identity.teams(viewer, project, allowed), _plain(comment)
        reason = viewer.token_lacks(Scope.APPROVE, project)
        if not reason and not allowed:
            least = role_to_decide(stated=self.identity.stated(project))
            reason = viewer.role_lacks(least, project)
        elif not reason and not may_approve(allowed, viewer.name, teams):
            reason = f"{stage} is approved by {', '.join(allowed)}, and {viewer.name} is none of them"
        self._record(by, verb, subject, project, reason, comment)
        if reason:
            raise NotAllowed(reason, "ask one of those who may")
        key = _key(by, verb, subject)
        if self.commands.heard(m.Approve if verb == "approve" else m.Reject, run, viewer.name, key):
            return
        if run.stages[stage].status is not StageStatus.WAITING:
            raise NotNow(f"{stage} does not wait for approval", f"`turnout explain {run.id[:12]} {stage}`")
        decide = self.commands.approve if verb == "approve" else self.commands.reject
        decide(run, stage, viewer.name, comment, teams=teams, key=key)

    # --- dead letters ---------------------------------------------------------------------------

    def retry_letters(self, by: Actor, letters: Sequence[DeadLetter]) -> int:
        """Put them back where they came from; how many."""
        self._permit(by, Role.ADMIN, "retry dead letters", _count(letters), EVERYWHERE)
        return self.redrive(letters)

    def discard_letters(self, by: Actor, letters: Sequence[DeadLetter]) -> int:
        self._permit(by, Role.ADMIN, "discard dead letters", _count(letters), EVERYWHERE)
        return self.discard(letters)

    # --- tokens and sessions ----------------------------------------------------------------------

    def make_token(
        self,
        by: Actor,
        name: str,
        scopes: Collection[Scope],
        projects: Collection[str] = (),
        lives: timedelta | None = None,
    ) -> tuple[str, ApiToken]:
        """The token, which is never shown again, and what is kept of it. ``lives``: None, until it is removed."""
        asked = f"{name} ({', '.join(sorted(scopes))})"
        self._permit_themselves(by, "make token", asked, _more_than(by.viewer, scopes, projects))
        if not scopes:
            raise PermanentError("a token without a scope opens nothing", f"give some of {', '.join(Scope)}")
        if not name.strip() or len(name) > 100 or not name.isprintable():
            raise PermanentError("a token needs a name of 1 to 100 characters", "say what it is for")
        if lives is not None and not timedelta() < lives <= LONGEST_TOKEN:
            raise PermanentError("a token lives from now up to a year", "give fewer days")
        if not all(_PROJECT.fullmatch(each) for each in projects):
            raise PermanentError("a project is named `owner/name`", "give them one by one")
        until: datetime | None = self.identity.clock.now() + lives if lives is not None else None
        return self.identity.make_token(
            by.viewer.person, name.strip(), frozenset(scopes), tuple(dict.fromkeys(projects)), until
        )

    def remove_token(self, by: Actor, id: str) -> None:
        """One's own, and an admin's anybody's."""
        token = self.identity.accounts.find_token(id)
        if token is None or not (token.owner == by.viewer.person or by.viewer.may(Role.ADMIN)):
            raise NotFound(f"no token {id!r}", "list yours")
        self._permit_themselves(by, "remove token", f"{token.name} of {token.owner}")
        self.identity.accounts.remove_token(id)

    def close_session(self, by: Actor, id: str) -> None:
        """One's own."""
        self._permit_themselves(by, "close session", id)
        if not self.identity.accounts.close_session(id, by.viewer.person):
            raise NotFound(f"no session {id!r}", "list yours")

    def signed_in(self, by: Actor) -> None:
        self._record(by, "sign in", by.viewer.person, "", "")

    def refused(self, account: str, via: str, action: str, subject: str, project: str, reason: str) -> None:
        """Somebody of whom nobody knows who they are: ``account`` is what another party calls them."""
        self._record(Actor(Viewer("", via=via), f"{via}:{account}"), action, subject, project, reason)

    def not_signed_in(self, address: str, via: str, reason: str) -> None:
        nobody = Actor(Viewer("", via=via), address)
        self._record(nobody, "sign in", "", "", reason)

    # ----------------------------------------------------------------------------------------------

    def _permit_themselves(self, by: Actor, action: str, subject: str, reason: str = "") -> None:
        """What everybody may who is there in person; a token needs the scope for it: it would outlive its own end."""
        if by.viewer.scopes is not None and Scope.ADMIN not in by.viewer.scopes:
            reason = f"the token of {by.viewer.name} has no scope `{Scope.ADMIN}`"
        self._record(by, action, subject, "", reason)
        if reason:
            raise NotAllowed(reason, "sign in to the console")

    def _permit(self, by: Actor, role: Role, action: str, subject: str, project: str, said: str = "") -> None:
        reason = by.viewer.lacks(role, project)
        self._record(by, action, subject, project, reason, said)
        if reason:
            raise NotAllowed(reason, "ask one of those who may")

    def _record(
        self, by: Actor, action: str, subject: str, project: str, refused: str, said: str = ""
    ) -> None:
        entry = AuditEntry(
            at=self.identity.clock.now(),
            person=_plain(by.viewer.person),
            via=_plain(by.viewer.via),
            address=by.address,
            action=action,
            subject=_plain(subject),
            project="" if project == EVERYWHERE else project,
            verdict="refused" if refused else "allowed",
            reason=_plain(refused or said)[:LONGEST_SAID],
        )
        self.identity.accounts.record(entry)


def _plain(text: str) -> str:
    """Without what JSON and command lines can carry and a database can't."""
    return text.replace("\0", "").encode("utf-8", "backslashreplace").decode()


def _key(by: Actor, *about: str) -> str:
    return derive(by.viewer.person, by.key, *about) if by.key else ""


def _count(letters: Sequence[DeadLetter]) -> str:
    return f"{len(letters)}" if len(letters) != 1 else letters[0].id


def _more_than(viewer: Viewer, scopes: Collection[Scope], projects: Collection[str]) -> str:
    """What a token would get that the token which makes it has not."""
    if viewer.scopes is not None and (more := set(scopes) - viewer.scopes):
        return f"the token of {viewer.name} can't give the scope `{min(more)}`, which it has not"
    if viewer.projects and (not projects or set(projects) - viewer.projects):
        return f"the token of {viewer.name} can't give projects that it is not for"
    return ""
