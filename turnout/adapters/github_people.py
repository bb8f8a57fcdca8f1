"""What GitHub knows of people: who may write to a repository, who belongs to a team.

Permissions to read: an App needs ``metadata``, ``pull requests`` and the organisation's ``members``.
Source: https://docs.github.com/en/rest/collaborators/collaborators, /rest/teams/members, /rest/pulls/pulls
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_payload import read_pull_request
from turnout.core.change import Change
from turnout.core.errors import NotFound

_LOGIN = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_-]{0,99})")
_TEAM = re.compile(r"@([A-Za-z0-9_.-]{1,100})/([A-Za-z0-9_.-]{1,100})")
WRITES = frozenset({"admin", "write"})
"""``maintain`` is told as ``write``."""


@dataclass(frozen=True, slots=True)
class GitHubPeople:
    """`turnout.asking.People`."""

    api: GitHubApi

    def may_write(self, repository: str, person: str) -> bool:
        if not _LOGIN.fullmatch(person):
            return False
        try:
            found = self.api.get(repository, f"/collaborators/{person}/permission")
        except NotFound:
            return False
        return found.get("permission") in WRITES

    def teams(self, repository: str, person: str, among: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(each for each in among if self._belongs(repository, person, each))

    def pull_request(self, repository: str, number: int) -> Change:
        return read_pull_request(self.api.get(repository, f"/pulls/{number}"))

    def _belongs(self, repository: str, person: str, team: str) -> bool:
        named = _TEAM.fullmatch(team)
        if named is None or not _LOGIN.fullmatch(person) or {".", ".."} & set(named.groups()):
            return False
        try:
            found = self.api.get(
                repository, self.api.url(f"/orgs/{named[1]}/teams/{named[2]}/memberships/{person}")
            )
        except NotFound:
            return False
        return bool(found.get("state") == "active")
