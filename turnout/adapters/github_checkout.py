"""What a GitHub App gives for reading a private repository: an hour's token that reads that repository alone."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from turnout.adapters.git_command import Credential
from turnout.adapters.github_api import BASE_URL, GitHubApi
from turnout.adapters.github_auth import AppAuth

USERNAME = "x-access-token"
"""Source: "Authenticating as a GitHub App installation", HTTP-based Git access."""


@dataclass(frozen=True, slots=True)
class AppCheckout:
    auth: AppAuth
    api: GitHubApi

    def credential(self, repository: str, clone_url: str) -> Credential | None:
        """None where the address is not that of the repository on the App's own GitHub.

        Raises: PermanentError (not installed there), TransientError.
        """
        if not of_repository(repository, clone_url, self.api):
            return None
        return Credential(self.auth.reading(repository, self.api.as_app), USERNAME)


def of_repository(repository: str, clone_url: str, api: GitHubApi) -> bool:
    """Whether the address is that of the repository on the API's own GitHub."""
    found = urlsplit(clone_url)
    if f"{found.scheme}://{found.netloc}" != web(api.url("")):
        return False
    return found.path.removesuffix(".git").strip("/").lower() == repository.lower()


def web(api: str) -> str:
    """Where people and git go on the GitHub whose API is at ``api``."""
    if api == BASE_URL:
        return "https://github.com"
    found = urlsplit(api)
    return f"{found.scheme}://{found.netloc}"
