"""GitHub's lists of what it delivered to our webhooks, and asking it to deliver again.

An App has one list, for all its repositories; with a token there is one for each repository's webhook, to which the
token needs "webhooks: read and write" (classic: ``admin:repo_hook``).
Source: https://docs.github.com/en/rest/apps/webhooks, https://docs.github.com/en/rest/repos/webhooks
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_parts import whole
from turnout.core.errors import PermanentError
from turnout.core.ports.ledger import Head, Listed

APP = "app"
SAID = 200


@dataclass(frozen=True)
class GitHubDeliveries:
    """`turnout.core.ports.ledger.Hooks`. ``repositories``: those that projects serve on this GitHub. ``url``: of our
    webhook as GitHub knows it; empty: a repository's only webhook is ours.
    """

    api: GitHubApi
    repositories: Callable[[], Sequence[str]]
    url: str = ""

    def hooks(self) -> tuple[Sequence[str], Mapping[str, str]]:
        if self.api.auth.app:
            return (APP,), {}
        found: list[str] = []
        why: dict[str, str] = {}
        for repository in self.repositories():
            try:
                found.append(f"{repository}#{self._hook(repository)}")
            except PermanentError as error:
                why[repository] = str(error)
        return found, why

    def page(self, hook: str, cursor: str = "") -> tuple[Sequence[Listed], str]:
        repository, path = _place(hook)
        asked = {"cursor": cursor} if cursor else {}
        rows, following = self.api.listed(repository, path, **asked)
        return [_listed(hook, each) for each in rows], following

    def heads(self) -> tuple[Sequence[Head], Mapping[str, str]]:
        found: list[Head] = []
        why: dict[str, str] = {}
        for repository in self.repositories():
            try:
                newest = self.api.get(repository, "/commits", per_page=1)
            except PermanentError as error:
                why[repository] = str(error)
                continue
            for each in newest:
                made = str(each["commit"]["committer"]["date"])
                found.append(Head(repository, str(each["sha"]), datetime.fromisoformat(made)))
        return found, why

    def again(self, hook: str, number: int) -> None:
        repository, path = _place(hook)
        if repository:
            self.api.post(repository, f"{path}/{number}/attempts", {})
        else:
            self.api.post_as_app(f"{path}/{number}/attempts")

    def _hook(self, repository: str) -> int:
        """Raises: PermanentError that says which there are."""
        there = {
            int(each["id"]): str((each.get("config") or {}).get("url") or "")
            for page in self.api.pages(repository, "/hooks")
            for each in page
            if each.get("active", True)
        }
        ours = [number for number, url in there.items() if not self.url or _same(url, self.url)]
        if len(ours) == 1:
            return ours[0]
        listed = ", ".join(f"{number} to {url}" for number, url in there.items()) or "none"
        raise PermanentError(
            f"which of its webhooks is ours is not known: there are {listed}",
            "set TURNOUT_GITHUB_HOOK_URL to the address that GitHub sends to",
        )


def _place(hook: str) -> tuple[str, str]:
    """The repository, empty: none; and the path of the list."""
    if hook == APP:
        return "", "/app/hook/deliveries"
    repository, _, number = hook.rpartition("#")
    return repository, f"/hooks/{number}/deliveries"


def _listed(hook: str, row: Mapping[str, Any]) -> Listed:
    said, code = str(row.get("status") or ""), int(row.get("status_code") or 0)
    return Listed(
        guid=str(row["guid"]),
        hook=hook,
        number=int(row["id"]),
        at=datetime.fromisoformat(str(row["delivered_at"])),
        event=whole(str(row.get("event") or "")),
        ok=said.upper() == "OK" or 200 <= code < 300,
        code=code,
        said=whole(said)[:SAID],
    )


def _same(one: str, other: str) -> bool:
    return one.rstrip("/").lower() == other.rstrip("/").lower()
