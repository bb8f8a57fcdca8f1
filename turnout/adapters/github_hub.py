"""Checks, statuses, comments and deployments through GitHub's REST API.

Permissions to write: an App needs ``checks``, ``deployments``, ``pull requests``; a token ``statuses`` for ``checks``.
Source: https://docs.github.com/en/rest/checks/runs, /rest/commits/statuses, /rest/issues/comments, /rest/deployments
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from turnout.adapters.github_api import GitHubApi
from turnout.core.errors import NotFound

if TYPE_CHECKING:
    from turnout.reporting.github_text import Check


ACTIONS = [
    {"label": "Approve", "description": "Let what waits begin", "identifier": "approve"},
    {"label": "Reject", "description": "End the run here", "identifier": "reject"},
]
"""Buttons of a check that waits for people. `turnout.adapters.github_asks` hears them."""


@dataclass(frozen=True, slots=True)
class GitHubHub:
    """`turnout.reporting.github_channel.Hub`."""

    api: GitHubApi

    @property
    def checks(self) -> bool:
        return self.api.auth.app

    def make_check(self, repository: str, sha: str, external: str, check: Check) -> int:
        body = {"head_sha": sha, "external_id": external, **_check(check)}
        return int(self.api.post(repository, "/check-runs", body)["id"])

    def find_check(self, repository: str, sha: str, external: str, name: str) -> int | None:
        asked: dict[str, str | int] = {"check_name": name, "filter": "all"}
        for page in self.api.pages(repository, f"/commits/{sha}/check-runs", **asked):
            for each in page["check_runs"]:
                if each.get("external_id") == external:
                    return int(each["id"])
        return None

    def update_check(self, repository: str, number: int, check: Check) -> None:
        self.api.patch(repository, f"/check-runs/{number}", _check(check))

    def annotate(
        self, repository: str, number: int, check: Check, batch: Sequence[Mapping[str, Any]]
    ) -> None:
        output = {**_output(check), "annotations": [dict(each) for each in batch]}
        self.api.patch(repository, f"/check-runs/{number}", {"output": output})

    def annotated(self, repository: str, number: int) -> int:
        found = self.api.get(repository, f"/check-runs/{number}")
        return int((found.get("output") or {}).get("annotations_count") or 0)

    def say_status(self, repository: str, sha: str, check: Check) -> int:
        return int(self.api.post(repository, f"/statuses/{sha}", _status(check))["id"])

    def find_status(self, repository: str, sha: str, check: Check) -> int | None:
        wanted = _status(check)
        for page in self.api.pages(repository, f"/commits/{sha}/statuses"):
            for each in page:
                if each.get("context") == wanted["context"]:
                    return int(each["id"]) if wanted.items() <= each.items() else None
        return None

    def make_comment(self, repository: str, issue: int, body: str) -> int:
        return int(self.api.post(repository, f"/issues/{issue}/comments", {"body": body})["id"])

    def find_comment(self, repository: str, issue: int, beginning: str) -> int | None:
        for page in self.api.pages(repository, f"/issues/{issue}/comments"):
            for each in page:
                if str(each.get("body") or "").startswith(beginning):
                    return int(each["id"])
        return None

    def read_comment(self, repository: str, number: int) -> str | None:
        try:
            return str(self.api.get(repository, f"/issues/comments/{number}")["body"])
        except NotFound:
            return None

    def update_comment(self, repository: str, number: int, body: str) -> None:
        self.api.patch(repository, f"/issues/comments/{number}", {"body": body})

    def make_deployment(self, repository: str, sha: str, environment: str, said: str, external: str) -> int:
        body = {
            "ref": sha,
            "environment": environment,
            "description": said,
            "payload": {"turnout": external},
            "auto_merge": False,
            "required_contexts": [],  # what must be green first is the pipeline's to say
        }
        return int(self.api.post(repository, "/deployments", body)["id"])

    def find_deployment(self, repository: str, sha: str, environment: str, external: str) -> int | None:
        for page in self.api.pages(repository, "/deployments", sha=sha, environment=environment):
            for each in page:
                payload = each.get("payload")
                if isinstance(payload, dict) and payload.get("turnout") == external:
                    return int(each["id"])
        return None

    def say_deployed(self, repository: str, number: int, state: str, said: str, url: str) -> int:
        body = {"state": state, "description": said[:140], **({"log_url": url} if url else {})}
        return int(self.api.post(repository, f"/deployments/{number}/statuses", body)["id"])

    def find_deployed(self, repository: str, number: int, state: str) -> int | None:
        for page in self.api.pages(repository, f"/deployments/{number}/statuses"):
            for each in page:
                if each.get("state") == state:
                    return int(each["id"])
        return None


def _check(check: Check) -> dict[str, Any]:
    body: dict[str, Any] = {"name": check.name, "status": check.status, "output": _output(check)}
    if check.conclusion == "action_required":
        body["actions"] = ACTIONS
    if check.url:
        body["details_url"] = check.url
    if check.started_at:
        body["started_at"] = check.started_at.isoformat()
    if check.conclusion:
        body["conclusion"] = check.conclusion
        if check.completed_at:
            body["completed_at"] = check.completed_at.isoformat()
    return body


def _output(check: Check) -> dict[str, Any]:
    return {"title": check.title or check.name, "summary": check.summary or check.title or check.name}


def _status(check: Check) -> dict[str, str]:
    body = {"state": check.state, "context": check.name, "description": check.description}
    return {**body, "target_url": check.url} if check.url else body
