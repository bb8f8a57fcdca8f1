"""Plain requests to the API server, as the administrator: what tests need besides kubectl and the client library."""

from __future__ import annotations

import ssl
from typing import Any

import httpx

from local.cluster.certificates import Certificates
from local.server_process import ServerFailed

MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"


class Api:
    """``get``, ``post``, ``patch`` and ``delete`` return the object; an error status is a ServerFailed."""

    def __init__(self, server: str, certificates: Certificates) -> None:
        context = ssl.create_default_context(cafile=str(certificates.authority))
        context.load_cert_chain(certificates.admin, certificates.admin_key)
        self._client = httpx.Client(base_url=server, verify=context, timeout=30, trust_env=False)

    def ready(self) -> bool:
        """Whether the server says that it takes requests."""
        try:
            return self._client.get("/readyz").status_code == 200
        except httpx.HTTPError:
            return False

    def find(self, path: str) -> Any:
        """None: there is no such thing."""
        answer = self._client.get(path)
        return None if answer.status_code == 404 else _object(answer)

    def get(self, path: str) -> Any:
        return _object(self._client.get(path))

    def post(self, path: str, content: object) -> Any:
        return _object(self._client.post(path, json=content))

    def patch(self, path: str, content: object, kind: str = MERGE) -> Any:
        return _object(self._client.patch(path, json=content, headers={"content-type": kind}))

    def delete(self, path: str, *, at_once: bool = False) -> None:
        """With what it owns; nothing where it is gone. ``at_once``: without the grace of a pod."""
        params: dict[str, str | int] = {"propagationPolicy": "Background"}
        if at_once:
            params["gracePeriodSeconds"] = 0
        answer = self._client.delete(path, params=params)
        if answer.status_code != 404:
            _object(answer)

    def close(self) -> None:
        self._client.close()


def _object(answer: httpx.Response) -> Any:
    if answer.is_error:
        raise ServerFailed(
            f"the API server answered {answer.status_code} to {answer.request.method} {answer.request.url.path}",
            answer.text[:1000],
        )
    return answer.json()
