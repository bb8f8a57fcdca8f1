"""Who may do what: roles, which a person has in a project, and scopes, which a token is cut down to. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, assert_never

from turnout.core.policy import may_approve
from turnout.core.roles import Role as Role

EVERYWHERE = "*"
"""In place of a project: what is of the whole server, and every project."""


class Scope(StrEnum):
    """What a token is for. It never gives more than its owner has."""

    READ = "read"
    ACT = "act"
    APPROVE = "approve"
    ADMIN = "admin"
    METRICS = "metrics"


def scope_of(role: Role) -> Scope:
    """The scope that what needs this role needs of a token."""
    match role:
        case Role.VIEWER:
            return Scope.READ
        case Role.OPERATOR:
            return Scope.ACT
        case Role.APPROVER:
            return Scope.APPROVE
        case Role.ADMIN:
            return Scope.ADMIN
        case _:
            assert_never(role)


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who has shown who they are.

    ``roles``: by project, and `EVERYWHERE`; it may find out when it is asked. ``scopes``: None, where they are here
    themselves and not by a token. ``projects``: those that a token is for, empty: all. ``via``: how they have
    shown it, for the audit log (``local``, ``github``, ``token:<name>``, ``slack``). ``id``: where it is not
    the name.
    """

    name: str
    roles: Mapping[str, Role] = field(default_factory=dict)
    scopes: frozenset[Scope] | None = None
    projects: frozenset[str] = frozenset()
    via: str = "local"
    id: str = ""

    @property
    def person(self) -> str:
        """Whose tokens and sessions these are, and who stands in the audit log: people of this machine and people of
        GitHub may be called the same."""
        return self.id or self.name

    def may(self, role: Role, project: str = EVERYWHERE) -> bool:
        return not self.lacks(role, project)

    def lacks(self, role: Role, project: str = EVERYWHERE) -> str:
        """Why they may not do what needs ``role`` in ``project``; empty: they may."""
        return self.token_lacks(scope_of(role), project) or self.role_lacks(role, project)

    def token_lacks(self, scope: Scope, project: str = EVERYWHERE) -> str:
        """Why the token that they show is not enough; empty: it is, or they are here themselves."""
        if self.scopes is not None and scope not in self.scopes:
            return f"the token of {self.name} has no scope `{scope}`"
        if self.projects and project not in self.projects:
            where = "the whole server" if project == EVERYWHERE else project
            return f"the token of {self.name} is not for {where}"
        return ""

    def role_lacks(self, role: Role, project: str = EVERYWHERE) -> str:
        if self.role(project) >= role:
            return ""
        where = "on this server" if project == EVERYWHERE else f"of {project}"
        return f"{self.name} is no {role.word} {where}"

    def role(self, project: str = EVERYWHERE) -> int:
        """The highest that they have there, 0: none. A token's limits are apart from it (`lacks`)."""
        everywhere: int = self.roles.get(EVERYWHERE, 0)
        return max(everywhere, self.roles.get(project, 0)) if everywhere < Role.ADMIN else everywhere

    @property
    def scrapes(self) -> bool:
        """Whether they may read the metrics, which are of the whole server."""
        metered = self.scopes is not None and Scope.METRICS in self.scopes and not self.projects
        return self.sees_all or (metered and self.role() >= Role.VIEWER)

    @property
    def sees_all(self) -> bool:
        """Whether lists need not be filtered for them."""
        return self.may(Role.VIEWER, EVERYWHERE)


def teams_named(said: Said) -> tuple[str, ...]:
    """The ``@org/team`` of all roles, each once."""
    return tuple(dict.fromkeys(each for _, people in said.by_role for each in people if "/" in each))


class Said(Protocol):
    """What a project file says of access: ``@person`` and ``@org/team`` by role."""

    @property
    def by_role(self) -> Iterable[tuple[Role, Collection[str]]]: ...


def named_role(said: Said, person: str, teams: Collection[str]) -> Role | None:
    """The highest that the file gives them; None: it gives them none. Letter case does not matter, as on GitHub."""
    name, groups = person.lower(), {each.lower() for each in teams}
    given = [
        role
        for role, people in said.by_role
        if people and may_approve({each.lower() for each in people}, name, groups)
    ]
    return max(given, default=None)


def role_to_decide(*, stated: bool) -> Role:
    """What a person needs to decide on a stage whose approval names nobody: approvers are meant, or, where the project
    file says nothing of access (not ``stated``), operators, who may approve it on GitHub as well. Where an approval
    names people, those people need no role."""
    return Role.APPROVER if stated else Role.OPERATOR
