"""Who we are to GitHub, and what may be said to it."""

from __future__ import annotations

from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from turnout.adapters.settings import InvalidSettings
from turnout.wiring.foundations import Foundations

if TYPE_CHECKING:
    from turnout.adapters.git_command import Credential
    from turnout.adapters.github_api import GitHubApi
    from turnout.adapters.github_deliveries import GitHubDeliveries
    from turnout.asking import Asking
    from turnout.auditing import Auditing
    from turnout.core.change import Change
    from turnout.core.ports import Source
    from turnout.redelivering import Redelivering


class OnGitHub(Foundations):
    @cached_property
    def github(self) -> GitHubApi | None:
        """None: nobody said who we are to GitHub. Raises: InvalidSettings."""
        s = self.settings
        token, app, key = (
            s.github_token.get_secret_value(),
            s.github_app_id,
            s.github_app_key.get_secret_value(),
        )
        if bool(app) != bool(key):
            raise InvalidSettings(
                "TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY: only one of them is set",
                "an App needs both",
            )
        if not app and not token:
            return None
        from turnout.adapters.github_api import GitHubApi
        from turnout.adapters.github_auth import AppAuth, TokenAuth, read_key

        auth = AppAuth(app, read_key(key), self.clock) if app else TokenAuth(token)
        return GitHubApi(auth, self.clock, base_url=s.github_url)

    def _asking(self) -> Asking:
        from turnout.asking import Asking

        if self.github is None:
            return Asking(self.store, None)
        from turnout.adapters.github_people import GitHubPeople

        return Asking(self.store, GitHubPeople(self.github))

    @cached_property
    def auditing(self) -> Auditing:
        from turnout.adapters.store.books import SqlBooks
        from turnout.adapters.store.missed import SqlMissed
        from turnout.auditing import Auditing

        database = self.store.database
        return Auditing(SqlBooks(database), SqlMissed(database), self.clock, self._hooks)

    @cached_property
    def redelivering(self) -> Redelivering | None:
        """None: nobody said who we are to GitHub."""
        from turnout.adapters.store.missed import SqlMissed
        from turnout.redelivering import Redelivering

        every = timedelta(seconds=self.settings.github_redeliver_every)
        hooks = self._hooks
        return Redelivering(hooks, SqlMissed(self.store.database), self.clock, every) if hooks else None

    @cached_property
    def _hooks(self) -> GitHubDeliveries | None:
        if self.github is None:
            return None
        from turnout.adapters.github_deliveries import GitHubDeliveries

        def repositories() -> list[str]:
            return [each.repository for each in self.projects.all() if not self._foreign(each.repository)]

        return GitHubDeliveries(self.github, repositories, self.settings.github_hook_url)

    @cached_property
    def source(self) -> Source:
        from turnout.adapters.mirror import GitSource

        git = GitSource(self.mirrors, self.checkout_credential)
        if self.github is None:
            return git
        from turnout.adapters.github_source import EitherSource, GitHubSource

        return EitherSource(git, GitHubSource(self.github), self._only_by_api)

    def _only_by_api(self, change: Change) -> bool:
        """Of a repository on our GitHub: git has nothing to show there, as a token of ours is for the API alone; or
        there is no git on this machine.
        """
        from shutil import which

        from turnout.adapters.github_checkout import of_repository

        if self.github is None or not of_repository(change.repository, change.clone_url, self.github):
            return False
        if self._foreign(change.repository):
            return False
        return which("git") is None or self.checkout_credential(change.repository, change.clone_url) is None

    def _unserved(self, repository: str) -> str:
        """Why pushes to the repository would start nothing; empty: a project file serves it."""
        from turnout.core.errors import InvalidConfig

        folder = self.settings.projects_folder
        try:
            found = self.projects.find(repository)
        except InvalidConfig as error:
            return f"its project file is not valid: {error.problems[0]}"
        return "" if found else f"no project file: add one to {folder}"

    def _foreign(self, project: str) -> str:
        """Why a project is told nothing on our GitHub, where our credential must not be shown to another host."""
        found = self.projects.find(project)
        provider = found.provider if found else None
        if provider is None or provider.kind != "github":
            return (
                "the project is not on GitHub"
                if provider
                else "there is no project file that says where it is"
            )
        ours = self.settings.github_url.rstrip("/")
        theirs = provider.base_url or "https://api.github.com"
        return "" if theirs == ours else f"the project is on {theirs}, and TURNOUT_GITHUB_URL is {ours}"

    def checkout_credential(self, repository: str, clone_url: str) -> Credential | None:
        """What the project file binds, else what the GitHub App gives; None: nothing is needed, or to be had.

        Raises: PermanentError, TransientError.
        """
        bound = self.secrets.checkout(repository, clone_url)
        if bound is not None or not self.settings.github_app_id or self.github is None:
            return bound
        from turnout.adapters.github_auth import AppAuth
        from turnout.adapters.github_checkout import AppCheckout

        assert isinstance(self.github.auth, AppAuth)
        return AppCheckout(self.github.auth, self.github).credential(repository, clone_url)
