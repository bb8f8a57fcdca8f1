"""What a tag in a registry points to now, asked with the credentials that Docker keeps for this user.

Source: OCI Distribution Specification 1.1, "Pulling manifests"; Docker Registry v2 token authentication.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from turnout.core.errors import NotFound, PermanentError, TransientError

if TYPE_CHECKING:
    import httpx

HUB = "registry-1.docker.io"
TIMEOUT = 20.0  # seconds
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d+)?")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,200}(/[a-z0-9][a-z0-9._-]{0,200}){0,20}")
_TAG = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_ASKED = re.compile(r'(\w+)="([^"]*)"')
_KINDS = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)


@dataclass(frozen=True, slots=True)
class Tagged:
    registry: str
    name: str
    tag: str

    @property
    def url(self) -> str:
        scheme = "http" if _LOOPBACK.fullmatch(self.registry) else "https"
        return f"{scheme}://{self.registry}/v2/{self.name}/manifests/{self.tag}"


@dataclass(frozen=True)
class Registries:
    """``logins``: registry to what HTTP's basic authentication takes."""

    logins: Mapping[str, str] = field(default_factory=dict, repr=False)

    def digest(self, image: str) -> str:
        """``sha256:…`` of ``registry/name:tag``. Raises: NotFound, PermanentError, TransientError."""
        import httpx

        asked = read_tagged(image)
        login = self.logins.get(asked.registry, "")
        try:
            with httpx.Client(timeout=TIMEOUT) as client:
                answer = client.head(asked.url, headers={"Accept": _KINDS})
                if answer.status_code == 401:
                    shown = self._shown(client, answer.headers.get("WWW-Authenticate", ""), login)
                    if shown:
                        answer = client.head(asked.url, headers={"Accept": _KINDS, "Authorization": shown})
        except httpx.HTTPError as error:
            raise TransientError(
                f"{asked.registry} can't be asked: {error}", "name the image by its digest"
            ) from error
        return _digest(asked, answer)

    def _shown(self, client: httpx.Client, challenge: str, login: str) -> str:
        """What to show at the second try; empty: nothing. A token is fetched from where the registry says, over
        TLS or on loopback.
        """
        kind, _, rest = challenge.partition(" ")
        if kind.lower() != "bearer":
            return f"Basic {login}" if login else ""
        wanted = dict(_ASKED.findall(rest))
        realm = urlsplit(wanted.pop("realm", ""))
        if realm.scheme != "https" and not _LOOPBACK.fullmatch(realm.netloc):
            raise PermanentError(
                f"the registry asks for a token from {realm.geturl()[:200]!r}", "it has to be https"
            )
        headers = {"Authorization": f"Basic {login}"} if login else {}
        answer = client.get(realm.geturl(), params=wanted, headers=headers)
        found = (
            answer.json()
            if answer.status_code == 200 and "json" in answer.headers.get("Content-Type", "")
            else {}
        )
        token = found.get("token") or found.get("access_token")
        return f"Bearer {token}" if token else ""


def read_tagged(image: str) -> Tagged:
    """``registry/name:tag``; without a tag ``latest``, without a registry Docker Hub. Raises: PermanentError."""
    first, slash, rest = image.partition("/")
    named = slash and ("." in first or ":" in first or first == "localhost")
    registry, path = (first, rest) if named else (HUB, image if slash else f"library/{image}")
    name, _, tag = path.partition(":")
    tag = tag or "latest"
    if (
        not _NAME.fullmatch(name)
        or not _TAG.fullmatch(tag)
        or not re.fullmatch(r"[\w.:\[\]-]+", registry, re.ASCII)
    ):
        raise PermanentError(
            f"{image[:200]!r} names no image",
            "write it like registry.example.org/name@sha256:<64 hex digits>",
        )
    return Tagged(HUB if registry in ("docker.io", "index.docker.io") else registry, name, tag)


def registries(environ: Mapping[str, str]) -> Registries:
    """With the credentials in Docker's ``config.json``; those in helpers are not asked for."""
    folder = environ.get("DOCKER_CONFIG") or str(Path(environ.get("HOME", "~")) / ".docker")
    try:
        kept: Any = json.loads((Path(folder) / "config.json").read_bytes())
        auths = kept.get("auths", {}).items()
        return Registries({_host(name): str(entry["auth"]) for name, entry in auths if entry.get("auth")})
    except (OSError, ValueError, AttributeError, TypeError):
        return Registries()


def _host(name: str) -> str:
    host = name.removeprefix("https://").removeprefix("http://").partition("/")[0]
    return HUB if host in ("docker.io", "index.docker.io") else host


def _digest(asked: Tagged, answer: httpx.Response) -> str:
    if answer.status_code == 404:
        raise NotFound(
            f"{asked.registry} has no {asked.name}:{asked.tag}", "look at its name, or name it by its digest"
        )
    if answer.status_code in (401, 403):
        raise PermanentError(
            f"{asked.registry} does not show {asked.name} to this user", "`docker login` to it first"
        )
    if answer.status_code != 200:
        raise TransientError(
            f"{asked.registry} answered {answer.status_code}", "name the image by its digest"
        )
    found = str(answer.headers.get("Docker-Content-Digest", ""))
    if not _DIGEST.fullmatch(found):
        raise PermanentError(
            f"{asked.registry} does not say the digest of {asked.name}:{asked.tag}", "name it yourself"
        )
    return found
