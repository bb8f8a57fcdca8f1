"""The image that was built, and how it gets into what is deployed; no file of the repository is changed. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.deploy.complaints import Refused
from agents.deploy.options import ImageOptions
from agents.sdk.workspace import AgentError

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_REPOSITORY = re.compile(r"[a-z0-9][a-z0-9._-]*(?::\d+)?(?:/[a-z0-9][a-z0-9._-]*)*", re.IGNORECASE)
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")


@dataclass(frozen=True, slots=True)
class Image:
    repository: str
    tag: str
    digest: str

    def __str__(self) -> str:
        return f"{self.repository}{':' + self.tag if self.tag else ''}@{self.digest}"


def built(upstream: Mapping[str, Mapping[str, str]], wanted: ImageOptions, own: str) -> Image | None:
    """The image that a stage before this one has pushed; None: no stage has. ``own``: the name of this stage.

    Raises: AgentError when several have, when the one that is asked for has not, or for outputs that name none.
    """
    found = {
        stage: outputs
        for stage, outputs in upstream.items()
        if stage != own and outputs.get("image") and outputs.get("digest")
    }
    if wanted.stage:
        if wanted.stage not in found:
            raise AgentError(
                f"with.image.stage: {wanted.stage} has given no `image` and `digest`",
                "let this stage need it" if wanted.stage not in upstream else "",
            )
        found = {wanted.stage: found[wanted.stage]}
    if len({(each["image"], each["digest"]) for each in found.values()}) > 1:
        raise AgentError(
            f"several stages have built an image: {', '.join(found)}", "say which with with.image.stage"
        )
    for stage, outputs in found.items():
        repository, tag, _ = parts(outputs["image"])
        digest = outputs["digest"]
        if (
            not _REPOSITORY.fullmatch(repository)
            or not DIGEST.fullmatch(digest)
            or (tag and not _TAG.fullmatch(tag))
        ):
            raise AgentError(f"the outputs of {stage} name no image: {ascii(outputs['image'])[:200]}")
        return Image(repository, tag, digest)
    return None


def parts(reference: str) -> tuple[str, str, str]:
    """Repository, tag and digest of an image's name; what is not in it, is empty."""
    name, _, digest = reference.partition("@")
    head, slash, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    return head + slash + last, tag, digest


def chart_values(image: Image, keys: ImageOptions, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What is set of the chart's values. ``defaults``: the chart's own.

    Where the chart knows no key for the digest, it goes behind the tag: runtimes take ``name:tag@sha256:…``.
    """
    made: dict[str, Any] = {}
    if keys.reference:
        put(made, keys.reference, str(image))
        return made
    tag = image.tag
    if keys.digest and has(defaults, keys.digest):
        put(made, keys.digest, image.digest)
    elif keys.tag:
        tag = f"{image.tag or 'latest'}@{image.digest}"
    if keys.repository:
        put(made, keys.repository, image.repository)
    if keys.tag and tag:
        put(made, keys.tag, tag)
    return made


def put(values: dict[str, Any], key: str, value: Any) -> None:
    """Raises: AgentError where two keys are in each other's way."""
    *outer, last = key.split(".")
    for part in outer:
        values = values.setdefault(part, {})
        if not isinstance(values, dict):
            raise AgentError(f"with: {key} cannot be set: {part} is a value already")
    if isinstance(values.get(last), dict):
        raise AgentError(f"with: {key} cannot be set: there are values below it")
    values[last] = value


def has(values: Mapping[str, Any], key: str) -> bool:
    found: Any = values
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return False
        found = found[part]
    return True


def kustomization(resources: Sequence[str], image: Image | None, wanted: ImageOptions) -> dict[str, Any]:
    """An overlay over the repository's files. ``resources``: their paths from the overlay's folder."""
    made: dict[str, Any] = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": list(resources),
    }
    if image is not None:
        name = wanted.name or image.repository
        made["images"] = [{"name": name, "newName": image.repository, "digest": image.digest}]
    return made


def check_used(image: Image, used: Iterable[str], how: str) -> None:
    """Raises: Refused where no container takes the image by its digest: then something else would be deployed."""
    there = list(used)
    if any(image.digest in each and parts(each)[0] == image.repository for each in there):
        return
    named = ", ".join(there[:5]) or "none"
    ours = f"{image.repository}@{image.digest[:19]}…"
    raise Refused(
        f"the image that was built, {ours}, is in no container; the images are {named}",
        how,
    )
