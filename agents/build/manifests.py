"""What a registry has under a name: asked of the registry itself, whatever the builder said.

Source: OCI Distribution Specification 1.1, "Pulling manifests"; CNCF Distribution, "Token Authentication".
"""

from __future__ import annotations

import hashlib
import re
from typing import Final

import httpx

from agents.build.naming import DIGEST, Name
from agents.build.registry_access import DOCKER_HUB, Access, Login
from agents.sdk.workspace import AgentError
from turnout.core.errors import TransientError
from turnout.core.strict_json import read_json

ACCEPTED: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
TIMEOUT = 30.0  # seconds
LARGEST = 4 * 1024 * 1024  # bytes; registries take no larger manifest
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')


def digest_of(name: Name, reference: str, access: Access) -> str:
    """The digest of what the registry gives under a tag; empty: it has no such tag.

    Counted from the manifest's own bytes, and compared with what the registry says.
    Raises: TransientError when it cannot be reached; AgentError when it refuses, or says what is not so.
    """
    scheme = "http" if access.plain(name) else "https"
    host = "registry-1.docker.io" if name.registry in DOCKER_HUB else name.registry
    url = f"{scheme}://{host}/v2/{name.repository}/manifests/{reference}"
    login = access.login(name.registry)
    try:
        with httpx.Client(
            timeout=TIMEOUT, trust_env=not name.loopback, headers={"Accept": ACCEPTED}
        ) as client:
            answer = client.get(url)
            if answer.status_code == 401:
                answer = client.get(url, headers=_authorised(client, answer, name, login))
    except httpx.HTTPError as error:
        raise TransientError(f"{name.registry} cannot be asked for {name}:{reference}: {error}") from error
    if answer.status_code == 404:
        return ""
    if answer.status_code >= 500 or answer.status_code == 429:
        raise TransientError(
            f"{name.registry} answers {answer.status_code} when asked for {name}:{reference}"
        )
    if answer.status_code != 200 or len(answer.content) > LARGEST:
        raise AgentError(f"{name.registry} answers {answer.status_code} when asked for {name}:{reference}")
    counted = f"sha256:{hashlib.sha256(answer.content).hexdigest()}"
    said = answer.headers.get("Docker-Content-Digest", counted)
    if said != counted and DIGEST.fullmatch(said):
        raise AgentError(f"{name.registry} says that {name}:{reference} is {said}, and gives {counted}")
    return counted


def _authorised(
    client: httpx.Client, answer: httpx.Response, name: Name, login: Login | None
) -> dict[str, str]:
    """What the registry wants to see. Raises: AgentError where it cannot be had."""
    asked = answer.headers.get("WWW-Authenticate", "")
    kind, _, rest = asked.partition(" ")
    if kind.lower() == "basic" and login is not None:
        return {"Authorization": f"Basic {login.basic}"}
    if kind.lower() == "bearer":
        said = dict(_CHALLENGE.findall(rest))
        realm = said.get("realm", "")
        if not realm.startswith("https://") and not (
            realm.startswith("http://") and answer.url.scheme == "http"
        ):
            raise AgentError(f"{name.registry} wants a login at {ascii(realm)[:200]}, which has no TLS")
        wanted = {key: said[key] for key in ("service", "scope") if key in said}
        given = client.get(realm, params=wanted, auth=(login.username, login.password) if login else None)
        if given.status_code == 200:
            content = read_json(given.content[:LARGEST])
            token = content.get("token") or content.get("access_token") if isinstance(content, dict) else None
            if isinstance(token, str):
                return {"Authorization": f"Bearer {token}"}
    raise AgentError(
        f"{name.registry} does not let us read {name}",
        "see to the stage's secrets REGISTRY_USERNAME and REGISTRY_PASSWORD",
    )
