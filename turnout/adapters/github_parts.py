"""What GitHub's webhook payloads have in common, and how they are read. Only the fields that are used are modelled."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from turnout.core.errors import PermanentError
from turnout.core.quoting import quoted

MAX_NAME = 200


def whole(text: str) -> str:
    """Without NUL, which no text column of PostgreSQL takes, and half surrogate pairs, which UTF-8 does not."""
    if text.isascii() and "\0" not in text:
        return text
    return text.encode("utf-8", "replace").decode().replace("\0", "\N{REPLACEMENT CHARACTER}")


HEADS, TAGS = "refs/heads/", "refs/tags/"
_FORBIDDEN = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|[/.]$")


def check_ref(ref: str) -> str:
    """Source: git-check-ref-format(1)."""
    if _FORBIDDEN.search(ref):
        raise ValueError("git allows no such name of a ref")
    return ref


def check_branch(name: str) -> str:
    check_ref(f"refs/heads/{name}")
    return name


Sha = Annotated[str, Field(pattern=r"^[0-9a-f]{40}([0-9a-f]{24})?$")]
Prose = Annotated[str, AfterValidator(whole)]


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Repository(Part):
    full_name: str = Field(pattern=r"^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$", max_length=300)
    clone_url: str = Field(pattern=r"^[^\x00-\x1f\x7f]+$", max_length=2000)
    default_branch: Annotated[Prose, Field(max_length=1000)] = ""
    fork: bool = False
    pushed_at: Any = None


class Person(Part):
    login: Prose = ""
    name: Prose | None = None


def object_of(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise PermanentError(
            f"the body is not JSON: {error}", "set the webhook's content type to application/json"
        ) from error
    if not isinstance(found, dict):
        raise PermanentError(f"the body is a JSON {type(found).__name__}, expected an object")
    return found


_Model = TypeVar("_Model", bound=Part)


def read(model: type[_Model], payload: dict[str, Any]) -> _Model:
    try:
        return model.model_validate(payload)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        path = ".".join(str(part) for part in first["loc"])
        raise PermanentError(f"{path}: {first['msg']}, got {quoted(first['input'])}") from error
