"""What the gateway answers, as far as a job reads it. Whoever answers otherwise is not the gateway, or not ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from agents.sdk.channel import GitCredential
from turnout.core.errors import TransientError
from turnout.core.strict_json import read_json


class _Answer(BaseModel):
    """A later gateway may say more."""

    model_config = ConfigDict(frozen=True, strict=True, extra="ignore", hide_input_in_errors=True)


class Standing(_Answer):
    """``state``: whose the attempt is. ``stop``: why it is to end, empty: go on."""

    state: Literal["waiting", "yours", "others"]
    stop: str = Field(default="", max_length=10_000)


class Granted(_Answer):
    secrets: dict[str, str] = Field(repr=False)
    credential: GitCredential | None = Field(default=None, repr=False)


class Place(_Answer):
    """``url``: where to put an artifact, with ``headers``; None: to the gateway itself."""

    url: str | None = Field(default=None, repr=False)
    headers: dict[str, str] = {}


class Earlier(_Answer):
    text: str | None = Field(default=None, repr=False)


A = TypeVar("A", bound=_Answer)


def understood(model: type[A], found: Mapping[str, Any]) -> A:
    """Raises: TransientError; a proxy may have answered, or a gateway that is being replaced."""
    try:
        return model.model_validate(found)
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors(include_input=False)[0]["loc"])[:100]
        raise TransientError(f"the gateway's answer is not understood: {where or 'its shape'}") from None


def said(body: bytes) -> dict[str, Any] | None:
    """None: it is no JSON object."""
    try:
        found = read_json(body)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
