#!/usr/bin/python3
"""Of Grafana: it reads its provisioned files, and refuses those that it could not use. At 3000 /api/health, and for the
admin /api/datasources, /api/search, /api/dashboards/uid/UID and /api/datasources/proxy/uid/UID/….

Source: https://grafana.com/docs/grafana/latest/administration/provisioning/
"""

import base64
import hmac
import json
import os
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

PROVISIONING = Path(os.environ.get("GF_PATHS_PROVISIONING", "/etc/grafana/provisioning"))
PASSWORD = Path(os.environ["GF_SECURITY_ADMIN_PASSWORD__FILE"]).read_text().strip()
PROXY = "/api/datasources/proxy/uid/"
WANTED = "Basic " + base64.b64encode(f"admin:{PASSWORD}".encode()).decode()


def provisioned(kind: str, key: str) -> list[dict[str, Any]]:
    return [
        each
        for file in sorted((PROVISIONING / kind).glob("*.y*ml"))
        for each in yaml.safe_load(file.read_text())[key]
    ]


SOURCES = {each["uid"]: each for each in provisioned("datasources", "datasources")}
BOARDS = {}
for provider in provisioned("dashboards", "providers"):
    assert provider["type"] == "file", provider
    files = sorted(Path(provider["options"]["path"]).glob("*.json"))
    assert files, f"{provider['options']['path']} has no dashboard"
    for file in files:
        board = json.loads(file.read_text())
        BOARDS[board["uid"]] = board
(Path("/var/lib/grafana") / "grafana.db").write_text("written")


class Api(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/api/health":
            self._say(200, {"database": "ok"})
        elif not hmac.compare_digest(self.headers.get("Authorization", ""), WANTED):
            self._say(401, {"message": "Invalid username or password"})
        elif self.path == "/api/datasources":
            self._say(200, list(SOURCES.values()))
        elif self.path.startswith("/api/search"):
            self._say(200, [{"uid": uid, "title": each["title"]} for uid, each in BOARDS.items()])
        elif self.path.startswith("/api/dashboards/uid/"):
            self._say(200, {"dashboard": BOARDS[self.path.rpartition("/")[2]]})
        elif self.path.startswith(PROXY):
            uid, _, rest = self.path.removeprefix(PROXY).partition("/")
            with urllib.request.urlopen(f"{SOURCES[uid]['url']}/{rest}", timeout=10) as answer:
                self._say(200, json.load(answer))
        else:
            self._say(404, {"message": "not found"})

    def _say(self, status: int, said: Any) -> None:
        content = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None: ...


ThreadingHTTPServer(("", 3000), Api).serve_forever()
