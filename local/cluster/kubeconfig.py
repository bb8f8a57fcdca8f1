"""Files that tell kubectl, Helm and client libraries where the cluster is, and who speaks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from local.cluster.certificates import Certificates


def by_certificate(path: Path, server: str, certificates: Certificates) -> None:
    """The administrator's."""
    who = {
        "client-certificate": str(certificates.admin),
        "client-key": str(certificates.admin_key),
    }
    _write(path, server, certificates.authority, "default", who)


def by_token(path: Path, server: str, authority: Path, namespace: str, token: str) -> None:
    """A service account's; ``namespace`` is where it looks when nothing says where."""
    _write(path, server, authority, namespace, {"token": token})


def _write(path: Path, server: str, authority: Path, namespace: str, who: dict[str, Any]) -> None:
    """JSON is YAML."""
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {"name": "local", "cluster": {"server": server, "certificate-authority": str(authority)}}
        ],
        "users": [{"name": "me", "user": who}],
        "contexts": [
            {"name": "local", "context": {"cluster": "local", "user": "me", "namespace": namespace}}
        ],
        "current-context": "local",
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(content, indent=1))
