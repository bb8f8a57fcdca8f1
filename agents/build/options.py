"""What ``with:`` of a build stage may say."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from agents.build.naming import TAG, read_name
from agents.sdk.options import Inside, Words
from turnout.core.model import Value

BackendName = Literal["buildah", "docker", "kaniko", "cloudbuild"]
PLATFORM = re.compile(r"[a-z0-9]{1,32}/[a-z0-9]{1,32}(?:/[a-z0-9]{1,32})?")
_ARGUMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9._/-]{0,198}[a-z0-9])?")
_TARGET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")


def _image(value: str) -> str:
    if value:
        read_name(value)
    return value


def _cache(value: Any) -> Any:
    if isinstance(value, str):
        read_name(value)
    return value


def _tags(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not TAG.fullmatch(name):
            raise ValueError(
                f"{name!r} is no tag: letters, digits, `_`, `.` and `-`, at most 128, not beginning with . or -"
            )
    return names


def _platforms(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not PLATFORM.fullmatch(name):
            raise ValueError(f"{name!r} is no platform, like linux/amd64 or linux/arm64/v8")
    return names


def _target(value: str) -> str:
    if value and not _TARGET.fullmatch(value):
        raise ValueError("expected the name of a stage of the Dockerfile (`FROM … AS name`)")
    return value


def _plain(value: object) -> object:
    """YAML's numbers and switches, as the text that a Dockerfile sees."""
    if not isinstance(value, dict):
        return value
    return {name: _text(each) for name, each in value.items()}


def _text(value: object) -> object:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        raise ValueError("put numbers with a dot in quotes (YAML reads 3.10 as the number 3.1)")
    return str(value) if isinstance(value, int) else value


def _arguments(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _ARGUMENT.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a build argument")
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL character")
    return values


def _labels(values: dict[str, str]) -> dict[str, str]:
    for name, value in values.items():
        if not _LABEL.fullmatch(name):
            raise ValueError(f"{name!r} is no label: lower-case letters, digits, `.`, `_`, `/` and `-`")
        if "\0" in value:
            raise ValueError(f"the value of {name} holds a NUL character")
    return values


Texts = Annotated[dict[str, str], BeforeValidator(_plain)]


class BuildOptions(Value):
    """``backend``: ``auto`` means the first of them that is there. ``image``: the name of the repository of images,
    with its registry and without a tag; empty: the operator's. ``dockerfile``: from the root of the checkout; empty:
    looked for. ``context``: the folder that is sent to the builder. ``target``: a stage of the Dockerfile, empty: the
    last.

    ``tags``: besides those of commit, branch and version. ``platforms``: empty means the machine's. ``cache``: keep
    layers between builds; a repository's name: there, too. ``sbom``: ``auto`` where there is a tool that makes one.
    ``archive``: keep the image itself as an artifact.
    """

    backend: Literal["auto"] | BackendName = "auto"
    image: Annotated[str, AfterValidator(_image)] = ""
    dockerfile: Inside | None = None
    context: Inside = "."
    target: Annotated[str, AfterValidator(_target)] = ""
    build_args: Annotated[Texts, AfterValidator(_arguments)] = Field(default_factory=dict)
    labels: Annotated[Texts, AfterValidator(_labels)] = Field(default_factory=dict)
    tags: Annotated[Words, AfterValidator(_tags)] = ()
    platforms: Annotated[Words, AfterValidator(_platforms)] = ()
    push: bool = True
    cache: Annotated[bool | str, BeforeValidator(_cache)] = True
    sbom: Literal["auto", "required", "none"] = "auto"
    archive: bool = False
