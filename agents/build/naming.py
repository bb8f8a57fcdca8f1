"""Names of images, and the tags that a change gives one. Pure.

Source: OCI Distribution Specification 1.1, "Pulling manifests" (grammar of names and tags); Semantic Versioning 2.0.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass

from turnout.core.hosts import is_loopback

TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
COMMIT_DIGITS = 12
_LONGEST = 128
_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_PART}(?:/{_PART})*")
_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?")
# Source: semver.org, "Is there a suggested regular expression"; a leading v, as tags of repositories have it.
_VERSION = re.compile(
    r"v?(?P<major>0|[1-9]\d{0,8})\.(?P<minor>0|[1-9]\d{0,8})\.(?P<patch>0|[1-9]\d{0,8})"
    r"(?P<pre>-[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?(?P<build>\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
# What would look like a tag of a version, of a commit, of a pull request, or the newest release.
_TAKEN = re.compile(r"latest|v?\d+(?:\.\d+)*(?:[-_.].*)?|[0-9a-f]{12,}|pr-.*|branch-.*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Name:
    """``registry``: host, with a port where there is one. ``repository``: what is after it."""

    registry: str
    repository: str

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def host(self) -> str:
        """Without the port."""
        if self.registry.startswith("["):
            return self.registry[1:].partition("]")[0]
        return self.registry.partition(":")[0]

    @property
    def loopback(self) -> bool:
        return is_loopback(self.host)


def read_name(text: str) -> Name:
    """``registry.example.org/team/app``. Raises: ValueError; a tag or a digest is none of the name."""
    registry, slash, repository = text.partition("/")
    known = "." in registry or ":" in registry or registry == "localhost"
    if not slash or not known:
        raise ValueError("expected an image's name with its registry, like registry.example.org/team/app")
    if not _HOST.fullmatch(registry) or len(text) > 255:
        raise ValueError(f"{registry!r} is no registry, like registry.example.org or 127.0.0.1:5000")
    if "@" in repository or ":" in repository:
        raise ValueError("expected no tag and no digest: the tags come from the commit and from `tags`")
    if not _REPOSITORY.fullmatch(repository):
        raise ValueError(
            f"{repository!r} is no repository of images: lower-case letters, digits, single `.`, `_` and `-`, and `/`"
        )
    return Name(registry, repository)


def tags(sha: str, ref: str, *, branch: str = "", tag: str = "", more: Iterable[str] = ()) -> tuple[str, ...]:
    """The commit's first; each once.

    A release ``v1.2.3`` gives 1.2.3, 1.2, 1 (not 0) and latest, one before a release (``v1.2.3-rc.1``) only itself; so
    do versions with build metadata, whose ``+`` no tag can hold. Any other tag and a branch give their own name, a pull
    request ``pr-<number>``.
    """
    found = [sha[:COMMIT_DIGITS].lower()]
    if tag:
        found += _of_tag(tag)
    elif request := re.fullmatch(r"refs/(?:pull|merge-requests)/(\d{1,9})/\w+", ref):
        found.append(f"pr-{request[1]}")
    elif branch:
        found.append(slug(branch))
    return tuple(dict.fromkeys([*found, *more]))


def version_of(tag: str) -> str:
    """What a tag of the repository says the version is, without a leading v; empty where it is none."""
    return tag.removeprefix("v") if _VERSION.fullmatch(tag) else ""


def _of_tag(tag: str) -> list[str]:
    version = _VERSION.fullmatch(tag)
    if version is None:
        return [slug(tag)]
    whole = tag.removeprefix("v").replace("+", "_")
    if len(whole) > _LONGEST:
        return [slug(tag)]
    if version["pre"] or version["build"]:
        return [whole]
    major, minor = version["major"], version["minor"]
    return [whole, f"{major}.{minor}", *([major] if major != "0" else []), "latest"]


def slug(name: str) -> str:
    """A branch's name as a tag. One that had to be changed gets digits of its hash, so that no two branches share one;
    what looks like a version, a commit or ``latest`` gets ``branch-`` in front, so that none can take their place.
    """
    text = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.") or "branch"
    if _TAKEN.fullmatch(text):
        text = f"branch-{text}"
        changed = text != f"branch-{name}"
    else:
        changed = text != name
    if changed or len(text) > _LONGEST:
        text = f"{text[: _LONGEST - 9].rstrip('-.')}-{hashlib.sha256(name.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return text
