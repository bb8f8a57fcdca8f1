"""What GitHub holds of a repository that Turnout writes to, and what it refuses to take.

Source: GitHub's REST API, "Check runs", "Commit statuses", "Issue comments", "Deployments".
"""

from __future__ import annotations

import hashlib
import itertools
import json
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from local.github.repositories import Moved, Repositories
from local.github.webhooks import Webhook

Json = dict[str, Any]
MAX_ANNOTATIONS = 50
MAX_TEXT = 65535
STATES = frozenset({"error", "failure", "pending", "success"})
CHECK_STATUSES = frozenset({"queued", "in_progress", "completed"})
CONCLUSIONS = frozenset(
    {"action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out"}
)
DEPLOYED = frozenset({"error", "failure", "inactive", "in_progress", "queued", "pending", "success"})
LEVELS = frozenset({"notice", "warning", "failure"})


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Fault:
    """What the next ``times`` requests whose "METHOD path" matches ``pattern`` get. ``done``: it is carried out all the
    same, and only the answer is another one; with ``status`` 0 there is none at all.
    """

    pattern: str
    status: int
    times: int = 1
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    done: bool = False


@dataclass(frozen=True)
class Call:
    method: str
    path: str
    body: Any
    status: int
    query: Mapping[str, str] = field(default_factory=dict)


class Refused(Exception):
    def __init__(self, status: int, message: str, *errors: str) -> None:
        super().__init__(message)
        self.answer = Answer(status, {"message": message, "errors": [{"message": each} for each in errors]})


@dataclass
class Hub:
    """One repository and one App. ``tokens``: those that are good now; those of the App's installation begin with
    ``ghs_``. ``people``: to the permission that each has. ``teams``: ``org/team`` to its members. ``webhook``: the
    App's. ``webhooks``: the repository's, by number. ``git``: where the repository itself is. Thread-safe.
    """

    repository: str = "acme/shop"
    tokens: set[str] = field(default_factory=lambda: {"ghp_plain"})
    token_lives: timedelta = timedelta(hours=1)
    checks: dict[int, Json] = field(default_factory=dict)
    statuses: list[Json] = field(default_factory=list)
    comments: dict[int, Json] = field(default_factory=dict)
    deployments: dict[int, Json] = field(default_factory=dict)
    deployed: list[Json] = field(default_factory=list)
    people: dict[str, str] = field(default_factory=dict)
    teams: dict[str, set[str]] = field(default_factory=dict)
    pulls: dict[int, Json] = field(default_factory=dict)
    webhook: Webhook | None = None
    webhooks: dict[int, Webhook] = field(default_factory=dict)
    git: Repositories | None = None
    faults: list[Fault] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._ids = itertools.count(1001)
        self._lock = threading.Lock()

    def answer(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], raw: bytes
    ) -> Answer | None:
        """None: the connection ends without an answer."""
        with self._lock:
            fault = next((each for each in self.faults if re.search(each.pattern, f"{method} {path}")), None)
            if fault:
                fault.times -= 1
                if not fault.times:
                    self.faults.remove(fault)
            if fault and not fault.done:
                found: Answer = Answer(fault.status, fault.body or {"message": "told to fail"}, fault.headers)
            else:
                found = self._carried_out(method, path, query, headers, raw)
            if fault and fault.done:
                found = Answer(fault.status, fault.body or {"message": "told to fail"}, fault.headers)
            body = json.loads(raw) if raw else None
            self.calls.append(Call(method, path, body, found.status, query))
            return found if found.status else None

    def _carried_out(
        self, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str], raw: bytes
    ) -> Answer:
        try:
            token = headers.get("authorization", "").removeprefix("Bearer ")
            body = json.loads(raw) if raw else {}
            if found := re.fullmatch(r"/app/installations/7/access_tokens", path):
                _app(token)
                return Answer(201, self._new_token() | body)
            if re.fullmatch(r"/repos/[^/]+/[^/]+/installation", path):
                _app(token)
                if path.split("/")[2:4] != self.repository.split("/"):
                    raise Refused(404, "Not Found")
                return Answer(200, {"id": 7})
            if found := re.fullmatch(r"/app/hook/deliveries(?:/(\d+)/attempts)?", path):
                _app(token)
                if self.webhook is None:
                    raise Refused(404, "Not Found")
                return _again(self.webhook, found[1]) if method == "POST" else _tries(self.webhook, query)
            if token not in self.tokens:
                raise Refused(401, "Bad credentials")
            if found := re.fullmatch(r"/orgs/([^/]+)/teams/([^/]+)/memberships/([^/]+)", path):
                if found[3] not in self.teams.get(f"{found[1]}/{found[2]}", ()):
                    raise Refused(404, "Not Found")
                return Answer(200, {"state": "active", "role": "member"})
            for pattern, verb, work in self._routes():
                found = re.fullmatch(f"/repos/{re.escape(self.repository)}{pattern}", path)
                if found and verb == method:
                    return work(found.groups(), body, query, token)
            raise Refused(404, "Not Found")
        except Refused as refused:
            return refused.answer

    def _routes(self) -> Sequence[tuple[str, str, Callable[..., Answer]]]:
        return (
            (r"/check-runs", "POST", self._make_check),
            (r"/check-runs/(\d+)", "PATCH", self._change_check),
            (r"/check-runs/(\d+)", "GET", lambda at, *_: Answer(200, self._one(self.checks, at[0]))),
            (r"/commits/([0-9a-f]{40})/check-runs", "GET", self._list_checks),
            (r"/statuses/([0-9a-f]{40})", "POST", self._make_status),
            (r"/commits/([0-9a-f]{40})/statuses", "GET", self._list_statuses),
            (r"/issues/(\d+)/comments", "POST", self._make_comment),
            (r"/issues/(\d+)/comments", "GET", self._list_comments),
            (r"/issues/comments/(\d+)", "PATCH", self._change_comment),
            (r"/issues/comments/(\d+)", "GET", lambda at, *_: Answer(200, self._one(self.comments, at[0]))),
            (r"/deployments", "POST", self._make_deployment),
            (r"/deployments", "GET", self._list_deployments),
            (r"/deployments/(\d+)/statuses", "POST", self._make_deployed),
            (r"/deployments/(\d+)/statuses", "GET", self._list_deployed),
            (r"/hooks", "GET", self._list_hooks),
            (r"/hooks/(\d+)/deliveries", "GET", lambda at, _, query, *__: _tries(self._hook(at), query)),
            (r"/hooks/(\d+)/deliveries/(\d+)/attempts", "POST", lambda at, *_: _again(self._hook(at), at[1])),
            (
                r"/compare/(.+)\.\.\.(.+)",
                "GET",
                lambda at, *_: _or_none(self._git.compare(self.repository, *map(unquote, at))),
            ),
            (r"/contents/(.+)", "GET", self._contents),
            (
                r"/commits/((?:heads|tags)(?:/|%2F).+)",
                "GET",
                lambda at, *_: _or_none(self._git.commit(self.repository, *map(unquote, at))),
            ),
            (
                r"/git/trees/([0-9a-f]{40})",
                "GET",
                lambda at, *_: _or_none(self._git.tree(self.repository, *at)),
            ),
            (r"/branches/([^/]+)", "GET", self._branch),
            (r"/commits", "GET", self._newest),
            (
                r"",
                "GET",
                lambda *_: Answer(200, {"full_name": self.repository, "default_branch": self._git.default}),
            ),
            (r"/pulls/(\d+)", "GET", lambda at, *_: Answer(200, self._one(self.pulls, at[0]))),
            (r"/collaborators/([^/]+)/permission", "GET", self._permission),
        )

    def _new_token(self) -> Json:
        token = f"ghs_{next(self._ids)}"
        self.tokens.add(token)
        return {"token": token, "expires_at": (datetime.now(UTC) + self.token_lives).isoformat()}

    def _one(self, of: Mapping[int, Json], number: str) -> Json:
        if int(number) not in of:
            raise Refused(404, "Not Found")
        return of[int(number)]

    def _permission(self, at: Sequence[str], _body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        return Answer(200, {"permission": self.people.get(at[0], "none"), "user": {"login": at[0]}})

    # --- webhooks and the repository itself ---------------------------------------------------------

    def deliver(self, moved: Moved, clone_url: str) -> None:
        """A push has moved a ref: each webhook hears of it."""
        payload = self._git.payload(moved, clone_url)
        for each in [self.webhook, *self.webhooks.values()]:
            if each is not None:
                each.send("push", payload)

    @property
    def _git(self) -> Repositories:
        if self.git is None:
            raise Refused(404, "Not Found")
        return self.git

    def _hook(self, at: Sequence[str]) -> Webhook:
        if int(at[0]) not in self.webhooks:
            raise Refused(404, "Not Found")
        return self.webhooks[int(at[0])]

    def _list_hooks(self, _at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        return _page([each.described() for each in self.webhooks.values()], query, lambda items: items)

    def _contents(self, at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        return _or_none(self._git.contents(self.repository, unquote(at[0]), query.get("ref", "")))

    def _branch(self, at: Sequence[str], _body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        sha = self._git.head(self.repository, at[0])
        return _or_none({"name": at[0], "commit": {"sha": sha}} if sha else None)

    def _newest(self, _at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        return Answer(200, self._git.newest(self.repository, int(query.get("per_page", "30"))))

    # --- check runs -------------------------------------------------------------------------------

    def _make_check(self, _at: Sequence[str], body: Json, _query: Mapping[str, str], token: str) -> Answer:
        if not token.startswith("ghs_"):
            raise Refused(403, "You must authenticate via a GitHub App.")
        _need(body, "name", "head_sha")
        made = {"id": next(self._ids), "annotations": [], **_checked(body)}
        made["annotations"] += (body.get("output") or {}).get("annotations", [])
        self.checks[made["id"]] = made
        return Answer(201, made)

    def _change_check(self, at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        found = self._one(self.checks, at[0])
        annotations = (body.get("output") or {}).get("annotations", [])
        found |= _checked(body)
        found["annotations"] = found["annotations"] + annotations
        found["output"] = {**(found.get("output") or {}), "annotations_count": len(found["annotations"])}
        return Answer(200, found)

    def _list_checks(self, at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        found = [each for each in self.checks.values() if each["head_sha"] == at[0]]
        if "check_name" in query:
            found = [each for each in found if each["name"] == query["check_name"]]
        return _page(found, query, lambda items: {"total_count": len(found), "check_runs": items})

    # --- statuses ---------------------------------------------------------------------------------

    def _make_status(self, at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        if body.get("state") not in STATES:
            raise Refused(422, "Validation Failed", f"state: {body.get('state')!r}")
        if len(body.get("description") or "") > 140:
            raise Refused(422, "Validation Failed", "description is too long (maximum is 140 characters)")
        made = {"id": next(self._ids), "sha": at[0], "context": "default", **body}
        self.statuses.append(made)
        return Answer(201, made)

    def _list_statuses(self, at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        found = [each for each in reversed(self.statuses) if each["sha"] == at[0]]
        return _page(found, query, lambda items: items)

    # --- comments ---------------------------------------------------------------------------------

    def _make_comment(self, at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        _text(body)
        made = {"id": next(self._ids), "issue": int(at[0]), "body": body["body"]}
        self.comments[made["id"]] = made
        return Answer(201, made)

    def _change_comment(
        self, at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str
    ) -> Answer:
        _text(body)
        found = self._one(self.comments, at[0])
        found["body"] = body["body"]
        return Answer(200, found)

    def _list_comments(self, at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        found = [each for each in self.comments.values() if each["issue"] == int(at[0])]
        return _page(found, query, lambda items: items)

    # --- deployments ------------------------------------------------------------------------------

    def _make_deployment(
        self, _at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str
    ) -> Answer:
        _need(body, "ref")
        made = {"id": next(self._ids), "sha": body["ref"], "environment": "production", **body}
        self.deployments[made["id"]] = made
        return Answer(201, made)

    def _list_deployments(
        self, _at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str
    ) -> Answer:
        found = [
            each
            for each in reversed(self.deployments.values())
            if all(each[name] == query[name] for name in ("sha", "environment") if name in query)
        ]
        return _page(found, query, lambda items: items)

    def _make_deployed(self, at: Sequence[str], body: Json, _query: Mapping[str, str], _token: str) -> Answer:
        self._one(self.deployments, at[0])
        if body.get("state") not in DEPLOYED:
            raise Refused(422, "Validation Failed", f"state: {body.get('state')!r}")
        made = {"id": next(self._ids), "deployment": int(at[0]), **body}
        self.deployed.append(made)
        return Answer(201, made)

    def _list_deployed(self, at: Sequence[str], _body: Json, query: Mapping[str, str], _token: str) -> Answer:
        found = [each for each in reversed(self.deployed) if each["deployment"] == int(at[0])]
        return _page(found, query, lambda items: items)


def _tries(webhook: Webhook, query: Mapping[str, str]) -> Answer:
    rows, following = webhook.page(int(query.get("per_page", "30")), query.get("cursor", ""))
    return Answer(200, rows, {"ETag": _tag(rows), **({"link-cursor": following} if following else {})})


def _again(webhook: Webhook, number: str) -> Answer:
    if not webhook.again(int(number)):
        raise Refused(404, "Not Found")
    return Answer(202, {})


def _or_none(found: Json | None) -> Answer:
    if found is None:
        raise Refused(404, "Not Found")
    return Answer(200, found)


def _app(token: str) -> None:
    if token.count(".") != 2:
        raise Refused(401, "A JSON web token could not be decoded")


def _need(body: Json, *names: str) -> None:
    if missing := [name for name in names if not body.get(name)]:
        raise Refused(422, "Invalid request.", *(f"{name} wasn't supplied" for name in missing))


def _text(body: Json) -> None:
    _need(body, "body")
    if len(body["body"]) > MAX_TEXT + 1:
        raise Refused(422, "Validation Failed", "body is too long (maximum is 65536 characters)")


def _checked(body: Json) -> Json:
    output = body.get("output")
    if body.get("status", "queued") not in CHECK_STATUSES:
        raise Refused(422, "Invalid request.", f"status: {body['status']!r}")
    if body.get("conclusion") is not None and body["conclusion"] not in CONCLUSIONS:
        raise Refused(422, "Invalid request.", f"conclusion: {body['conclusion']!r}")
    if output is not None:
        _need(output, "title", "summary")
        if len(output["summary"].encode()) > MAX_TEXT or len((output.get("text") or "").encode()) > MAX_TEXT:
            raise Refused(422, "Invalid request.", "summary or text exceeds 65535 characters")
        if len(output.get("annotations", ())) > MAX_ANNOTATIONS:
            raise Refused(422, "Invalid request.", "No more than 50 items are allowed")
        for each in output.get("annotations", ()):
            _need(each, "path", "start_line", "end_line", "annotation_level", "message")
            if each["annotation_level"] not in LEVELS:
                raise Refused(422, "Invalid request.", f"annotation_level: {each['annotation_level']!r}")
    return {name: value for name, value in body.items() if name != "output"} | (
        {"output": {name: value for name, value in output.items() if name != "annotations"}} if output else {}
    )


def _page(found: Sequence[Json], query: Mapping[str, str], shaped: Callable[[Sequence[Json]], Any]) -> Answer:
    size, number = int(query.get("per_page", "30")), int(query.get("page", "1"))
    items = found[size * (number - 1) : size * number]
    more = {"link-page": str(number + 1)} if len(found) > size * number else {}
    return Answer(200, shaped(items), {"ETag": _tag(items), **more})


def _tag(items: Sequence[Json]) -> str:
    return f'"{hashlib.sha256(json.dumps(items, sort_keys=True).encode()).hexdigest()}"'
