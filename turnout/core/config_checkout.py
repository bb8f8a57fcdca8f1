"""The model of ``checkout:`` in ``pipeline.yml``: what is checked out besides the commit's own files."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from turnout.core.config_types import Configured, Flag, Refused


def _check_submodules(value: object) -> object:
    if isinstance(value, bool) or value == "recursive":
        return value
    raise Refused("expected true, false or `recursive`", "recursive: the submodules of submodules, too")


class CheckoutConfig(Configured):
    """What is checked out besides the commit's own files."""

    submodules: Annotated[bool | Literal["recursive"], BeforeValidator(_check_submodules)] = Field(
        default=False, description="Whether submodules are checked out; recursive: theirs, too."
    )
    lfs: Flag = Field(default=False, description="Whether files in Git LFS are fetched; otherwise pointers.")
    history: Flag = Field(
        default=False,
        description="Whether launched jobs, too, fetch the commits before this one, and tags.",
    )
