"""GitHub's REST API, as far as it is needed: one request, all pages of a list, and errors told apart.

Nothing here sleeps: a limit is a TransientError that says how long to wait, and whoever called tries again.
Source: https://docs.github.com/en/rest/using-the-rest-api (best practices, rate limits, pagination)
"""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from turnout.adapters.github_auth import Auth
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.core.ports import Clock

if TYPE_CHECKING:
    import httpx

BASE_URL = "https://api.github.com"
VERSION = "2022-11-28"
TIMEOUT = 10.0
PER_PAGE = 100
MAX_PAGES = 50
REMEMBERED = 256
"""Answers kept to ask whether they still hold: such a question costs nothing of the rate limit."""
LEAST_WAIT = 60.0
"""Seconds after a secondary limit that names no time. Source: rate limits for the REST API."""

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+")


class GitHubRefused(PermanentError):
    """``status``: of the answer; the message says what GitHub found wrong."""

    def __init__(self, status: int, message: str, hint: str = "") -> None:
        super().__init__(message, hint)
        self.status = status


class GitHubApi:
    """``base_url``: of GitHub Enterprise, ``https://HOST/api/v3``. Thread-safe, and safe to make before a fork."""

    def __init__(
        self, auth: Auth, clock: Clock, *, base_url: str = BASE_URL, timeout: float = TIMEOUT
    ) -> None:
        self.auth = auth
        self._clock = clock
        self._base_url = (base_url or BASE_URL).rstrip("/")
        self._timeout = timeout
        self._made: httpx.Client | None = None
        self._known: OrderedDict[tuple[str, str], tuple[str, Any, str]] = OrderedDict()
        self._lock = threading.Lock()

    def url(self, path: str) -> str:
        """Of what is not below a repository; takes a path's place."""
        return self._base_url + path

    def get(self, repository: str, path: str, **params: str | int) -> Any:
        """``path`` begins below the repository. Raises: NotFound, GitHubRefused, TransientError; so does the rest."""
        return self._for(repository, "GET", path, params=params)[0]

    def post(self, repository: str, path: str, body: Mapping[str, Any]) -> Any:
        return self._for(repository, "POST", path, body=body)[0]

    def patch(self, repository: str, path: str, body: Mapping[str, Any]) -> Any:
        return self._for(repository, "PATCH", path, body=body)[0]

    def pages(self, repository: str, path: str, **params: str | int) -> Iterator[Any]:
        """Each page of a list, as long as there are more."""
        answer, link = self._for(repository, "GET", path, params={**params, "per_page": PER_PAGE})
        for _ in range(MAX_PAGES):
            yield answer
            following = re.search(r'<([^>]+)>;\s*rel="next"', link)
            if following is None:
                return
            answer, link = self._for(repository, "GET", following.group(1))
        raise TransientError(f"GitHub: {path} of {repository} did not end after {MAX_PAGES} pages")

    def listed(self, repository: str, path: str, **params: str | int) -> tuple[Any, str]:
        """One page of a list that goes on at a cursor; and the cursor, empty: this is the end.

        ``repository`` empty: of the App itself, who must be one. Source: "Using pagination in the REST API"
        """
        asked = {**params, "per_page": PER_PAGE}
        if repository:
            answer, link = self._for(repository, "GET", path, params=asked)
        else:
            answer, link = self._send("GET", path, self._itself(), params=asked)
        following = re.search(r'<([^>]+)>;\s*rel="next"', link)
        query = parse_qs(urlsplit(following.group(1)).query) if following else {}
        return answer, (query.get("cursor") or query.get("page") or [""])[0]

    def post_as_app(self, path: str) -> None:
        """Raises: NotFound, GitHubRefused, TransientError."""
        self._send("POST", path, self._itself())

    def _itself(self) -> str:
        from turnout.adapters.github_auth import AppAuth

        if not isinstance(self.auth, AppAuth):
            raise PermanentError("GitHub: only an App has a list of its own", "set TURNOUT_GITHUB_APP_ID")
        return self.auth.itself()

    def close(self) -> None:
        """End its connections; the next request makes new ones."""
        with self._lock:
            client, self._made = self._made, None
        if client is not None:
            client.close()

    def _for(
        self,
        repository: str,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Any, str]:
        if not _REPOSITORY.fullmatch(repository) or set(repository.split("/")) & {".", ".."}:
            raise PermanentError(f"GitHub: {repository!r} is no repository", "expected owner/name")
        if not path.startswith(self._base_url):
            path = f"/repos/{repository}{path}"
        token = self.auth.token(repository, self.as_app)
        try:
            return self._send(method, path, token, params=params, body=body)
        except GitHubRefused as refused:
            if refused.status != 401:
                raise
            self.auth.forget(repository)
            again = self.auth.token(repository, self.as_app)
            if again == token:
                raise
            return self._send(method, path, again, params=params, body=body)

    def as_app(
        self, method: str, path: str, credential: str, body: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """`turnout.adapters.github_auth.Call`."""
        found = self._send(method, path, credential, body=body)[0]
        return found if isinstance(found, dict) else {}

    def _send(
        self,
        method: str,
        path: str,
        token: str,
        *,
        params: Mapping[str, str | int] | None = None,
        body: Mapping[str, Any] | None = None,
    ) -> tuple[Any, str]:
        """The answer's content, and its ``Link`` header."""
        import httpx

        url = path if path.startswith(self._base_url) else self._base_url + path
        headers = {"Authorization": f"Bearer {token}"}
        # an App's own pass is another one each time
        lasting = method == "GET" and not path.startswith("/app/")
        remembered = (token, str(httpx.URL(url, params=params or None))) if lasting else None
        known = self._known.get(remembered) if remembered else None
        if known:
            headers["If-None-Match"] = known[0]
        try:
            answer = self._client().request(
                method,
                url,
                params=params or None,
                json=dict(body) if body is not None else None,
                headers=headers,
            )
        except httpx.HTTPError as error:
            raise TransientError(
                f"GitHub: {method} {path}: no answer: {str(error) or type(error).__name__}",
                "is TURNOUT_GITHUB_URL right?",
            ) from error
        if answer.status_code == 304 and known:
            return known[1], known[2]
        if answer.is_error:
            raise self._refused(method, path, answer)
        content, link = _content(answer), answer.headers.get("link", "")
        if remembered and (tag := answer.headers.get("etag")):
            with self._lock:
                self._known[remembered] = (tag, content, link)
                self._known.move_to_end(remembered)
                while len(self._known) > REMEMBERED:
                    self._known.popitem(last=False)
        return content, link

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._made is None:
                import httpx

                self._made = httpx.Client(
                    timeout=self._timeout,
                    follow_redirects=True,  # a repository that was renamed
                    headers={
                        "Accept": "application/vnd.github+json",
                        "X-GitHub-Api-Version": VERSION,
                        "User-Agent": "turnout",
                    },
                )
            return self._made

    def _refused(self, method: str, path: str, answer: httpx.Response) -> PermanentError | TransientError:
        status, said = answer.status_code, _said(answer)
        what = f"GitHub: {method} {path}: HTTP {status}: {said}"
        wait = self._wait(answer)
        if status >= 500 or status == 408:
            return TransientError(what, retry_after=wait)
        if status == 429 or (status == 403 and wait is not None):
            return TransientError(what, "the rate limit is used up", retry_after=wait or LEAST_WAIT)
        match status:
            case 404:
                return NotFound(what, "does it exist, and may the token or the App see it?")
            case 401:
                return GitHubRefused(
                    status, what, "the token is not valid: check TURNOUT_GITHUB_TOKEN or the App's key"
                )
            case 403:
                needs = answer.headers.get("x-accepted-github-permissions", "")
                return GitHubRefused(
                    status, what, f"it needs the permission {needs}" if needs else "a right is missing"
                )
            case _:
                return GitHubRefused(status, what)

    def _wait(self, answer: httpx.Response) -> float | None:
        """Seconds that GitHub asks us to wait; None: it does not."""
        headers = answer.headers
        try:
            if "retry-after" in headers:
                return max(float(headers["retry-after"]), 1.0)
            if headers.get("x-ratelimit-remaining") == "0":
                left = float(headers["x-ratelimit-reset"]) - self._clock.now().timestamp()
                return min(max(left, 1.0), 3600.0)
        except (KeyError, ValueError):
            return LEAST_WAIT
        return LEAST_WAIT if "secondary rate limit" in _said(answer).lower() else None


def _content(answer: httpx.Response) -> Any:
    if not answer.content:
        return {}
    try:
        return answer.json()
    except ValueError as error:
        raise TransientError(f"GitHub: {answer.request.url.path}: the answer is no JSON") from error


def _said(answer: httpx.Response) -> str:
    try:
        found = answer.json()
        details = "; ".join(
            str(each.get("message") or each) if isinstance(each, dict) else str(each)
            for each in found.get("errors", ())[:5]
        )
        return f"{found.get('message', '')}{': ' if details else ''}{details}"[:500]
    except (ValueError, AttributeError, TypeError):
        return answer.text[:200]
