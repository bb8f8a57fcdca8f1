"""What a registry on loopback holds. Source: OCI Distribution Specification 1.1, "Pulling manifests"."""

from __future__ import annotations

import json
from typing import Any

import httpx

from local.registry.server import Registry

_ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


def digest_of_tag(registry: Registry, repository: str, tag: str) -> str:
    answer = httpx.head(
        f"http://{registry.address}/v2/{repository}/manifests/{tag}", headers={"Accept": _ACCEPT}
    )
    return str(answer.headers["Docker-Content-Digest"])


def config_of(registry: Registry, repository: str, digest: str) -> dict[str, Any]:
    """The image's configuration."""
    base = f"http://{registry.address}/v2/{repository}"
    manifest = httpx.get(f"{base}/manifests/{digest}", headers={"Accept": _ACCEPT}).json()
    blob = httpx.get(f"{base}/blobs/{manifest['config']['digest']}", follow_redirects=True)
    return dict(json.loads(blob.content))
