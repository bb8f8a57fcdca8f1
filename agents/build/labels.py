"""Labels of an image. Pure: the same commit gives the same labels.

Source: OCI Image Format Specification 1.1, "Annotations", Pre-Defined Annotation Keys.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from agents.build.naming import version_of
from turnout.core.messages import Checkout

PREFIX = "org.opencontainers.image."
_ADDRESS = re.compile(r"(?P<scheme>https?://)(?:[^/@]*@)?(?P<rest>[^?#\s]+)")


def labels(checkout: Checkout, committed: int | None, more: Mapping[str, str]) -> dict[str, str]:
    """In order of their names. ``committed``: the commit's time, seconds since 1970, None: not known.

    ``more`` wins, except over the revision: what an image was made from is not for a pipeline file to say.
    """
    known = {f"{PREFIX}source": source(checkout), f"{PREFIX}version": version_of(checkout.tag)}
    if committed is not None:
        known[f"{PREFIX}created"] = datetime.fromtimestamp(committed, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    said = {name: value for name, value in known.items() if value} | dict(more)
    return dict(sorted({**said, f"{PREFIX}revision": checkout.sha}.items()))


def source(checkout: Checkout) -> str:
    """The repository's page where it has one, never with a password; otherwise its name."""
    found = _ADDRESS.fullmatch(checkout.clone_url)
    if found is None:
        return checkout.repository
    return f"{found['scheme']}{found['rest']}".rstrip("/").removesuffix(".git")
