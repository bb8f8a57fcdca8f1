"""Snyk's API, as far as ``snyk test`` talks to it: what it is told to find, or how it is told to fail.

Source: github.com/snyk/cli, src/lib/snyk-test (run-test.ts: what is posted, and which answer is expected).
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal

TOKEN = "00000000-1111-4222-8333-444444444444"

Behaviour = Literal["answer", "refuse", "break", "hang"]


@dataclass(frozen=True, slots=True)
class Issue:
    """``fixed``: versions in which it is gone."""

    id: str
    package: str
    version: str
    severity: str
    title: str
    fixed: tuple[str, ...] = ()
    cve: str = ""


LODASH = Issue(
    id="SNYK-JS-LODASH-1040724",
    package="lodash",
    version="4.17.20",
    severity="high",
    title="Command Injection",
    fixed=("4.17.21",),
    cve="CVE-2021-23337",
)


@dataclass
class SnykApi:
    """``asked``: method and path of every request."""

    issues: Sequence[Issue] = ()
    behaviour: Behaviour = "answer"
    url: str = ""
    asked: list[str] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def env(self) -> dict[str, str]:
        return {"SNYK_API": f"{self.url}/v1", "SNYK_HTTP_PROTOCOL_UPGRADE": "0"}

    def answer(self, path: str, sent: Any, token: str) -> tuple[int, Any]:
        if self.behaviour == "break":
            return 500, {"message": "Internal server error"}
        if self.behaviour == "refuse" or TOKEN not in token:
            return 401, {"code": 401, "message": "Not authorised"}
        if not path.startswith("/v1/test-dep-graph"):
            return 200, {"ok": True}
        if self.behaviour == "hang":
            self.over.wait(60)
        return 200, {"result": self._result(sent), "meta": _META}

    def _result(self, sent: Any) -> dict[str, Any]:
        graph = sent["depGraph"]
        there = {(each["info"]["name"], each["info"].get("version")) for each in graph["pkgs"]}
        found = [each for each in self.issues if (each.package, each.version) in there]
        return {
            "issues": [
                {"pkgName": each.package, "pkgVersion": each.version, "issueId": each.id, "fixInfo": _FIX}
                for each in found
            ],
            "issuesData": {each.id: _details(each) for each in found},
            "depGraphData": graph,
        }


_FIX = {
    "isPatchable": False,
    "upgradePaths": [],
    "isRuntime": False,
    "isPinnable": False,
    "nearestFixedInVersion": "",
}
_META = {
    "isPublic": False,
    "isLicensesEnabled": False,
    "licensesPolicy": {"severities": {}, "orgLicenseRules": {}},
    "ignoreSettings": {"adminOnly": False, "reasonRequired": False, "disregardFilesystemIgnores": False},
    "policy": "",
    "org": "stand-in",
}


def _details(issue: Issue) -> dict[str, Any]:
    return {
        "id": issue.id,
        "title": issue.title,
        "severity": issue.severity,
        "packageName": issue.package,
        "moduleName": issue.package,
        "language": "js",
        "packageManager": "npm",
        "identifiers": {"CVE": [issue.cve] if issue.cve else [], "CWE": ["CWE-400"]},
        "fixedIn": list(issue.fixed),
        "semver": {"vulnerable": [f"={issue.version}"]},
        "description": "What it does.",
        "patches": [],
        "isUpgradable": False,
        "isPatchable": False,
    }


@contextmanager
def serving(api: SnykApi) -> Iterator[SnykApi]:
    """On a port of its own, on this machine only."""

    class Handler(BaseHTTPRequestHandler):
        def _serve(self) -> None:
            api.asked.append(f"{self.command} {self.path.partition('?')[0]}")
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            sent = json.loads(body) if body else None
            status, content = api.answer(self.path, sent, self.headers.get("Authorization") or "")
            answer = json.dumps(content).encode()
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)
            except ConnectionError:
                pass  # whoever asked has been ended meanwhile

        do_GET = do_POST = do_PUT = _serve

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        api.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield api
        finally:
            api.over.set()
            server.shutdown()
            thread.join()
