"""git's own http-backend, for one request: the CGI programme that git servers run.

Source: git-http-backend(1), RFC 3875
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """``headers``: by names in small letters. ``path``: below the folder of the repositories."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    client: str


def http_backend(
    folder: Path, request: Request, config: Mapping[str, str]
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and content. ``config``: git's settings for this request."""
    given = {"safe.directory": "*", **config}
    environ = {
        "PATH": os.environ["PATH"],
        "GIT_PROJECT_ROOT": str(folder),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_CONFIG_COUNT": str(len(given)),
        **{f"GIT_CONFIG_KEY_{number}": name for number, name in enumerate(given)},
        **{f"GIT_CONFIG_VALUE_{number}": value for number, value in enumerate(given.values())},
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("content-type", ""),
        "HTTP_CONTENT_ENCODING": request.headers.get("content-encoding", ""),
        "GIT_PROTOCOL": request.headers.get("git-protocol", ""),
        "CONTENT_LENGTH": str(len(request.body)),
        "REMOTE_ADDR": request.client,
    }
    done = subprocess.run(
        ["git", "http-backend"], input=request.body, env=environ, capture_output=True, check=False
    )
    head, _, content = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if line)
    return int(headers.pop("Status", "200").split()[0]), headers, content
