"""Who people are, and what they may."""

from __future__ import annotations

import getpass
from functools import cached_property
from typing import TYPE_CHECKING

from turnout.adapters.settings import InvalidSettings
from turnout.wiring.github import OnGitHub

if TYPE_CHECKING:
    from turnout.adapters.github_sign_in import GitHubSignIn
    from turnout.adapters.store.accounts import SqlAccounts
    from turnout.asking import People
    from turnout.identifying import Identity


class OfPeople(OnGitHub):
    @cached_property
    def accounts(self) -> SqlAccounts:
        from turnout.adapters.store.accounts import SqlAccounts

        return SqlAccounts(self.store.database)

    @cached_property
    def identity(self) -> Identity:
        from turnout.identifying import Identity

        s = self.settings
        return Identity(
            accounts=self.accounts,
            find=self.projects.find,
            people=self._people,
            clock=self.clock,
            key=s.key(),
            admins=s.admins,
            local_token=s.console_token(),
            owner=_owner(),
        )

    @cached_property
    def github_sign_in(self) -> GitHubSignIn | None:
        """None: nobody can sign in with GitHub. Raises: InvalidSettings."""
        s = self.settings
        secret = s.github_client_secret.get_secret_value()
        if bool(s.github_client_id) != bool(secret):
            raise InvalidSettings(
                "TURNOUT_GITHUB_CLIENT_ID and TURNOUT_GITHUB_CLIENT_SECRET: only one of them is set",
                "signing in needs both",
            )
        if not secret:
            return None
        from turnout.adapters.github_sign_in import GitHubSignIn

        return GitHubSignIn(s.github_client_id, secret, s.github_url)

    def _people(self, project: str) -> People | None:
        """Who can be asked about the people of a project; None: it is not on the GitHub that we may ask."""
        if self.github is None or self._foreign(project):
            return None
        from turnout.adapters.github_people import GitHubPeople

        return GitHubPeople(self.github)


def _owner() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
