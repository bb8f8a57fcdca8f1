"""The base of every value that is written to a store, a topic or a file, and the closed sets they share."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Self

from pydantic import BaseModel, ConfigDict

_set = object.__setattr__


class Value(BaseModel):
    """A frozen value with no room for unknown keys. Its numbers are finite: JSON has no others. What is wrong with one
    is said without what was given: it may hold a token, and a traceback goes to the log.

    What another version of us has stored or sent is read with ``extra="ignore"``: it may have fields that this version
    does not know yet (docs/upgrades.md). What people write is not: there an unknown key is a slip.
    """

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        populate_by_name=True,
        serialize_by_alias=True,
        allow_inf_nan=False,
        hide_input_in_errors=True,
    )

    def with_(self, **changes: Any) -> Self:
        """A copy with these fields changed. The new values are trusted, not validated again.

        What ``model_copy(update=…)`` does for a value, in half of its time: a decision makes some fifty.
        """
        made = self.__class__.__new__(self.__class__)
        _set(made, "__dict__", self.__dict__ | changes)
        _set(made, "__pydantic_fields_set__", self.__pydantic_fields_set__ | changes.keys())
        _set(made, "__pydantic_extra__", None)
        _set(made, "__pydantic_private__", None)
        return made

    def to_json(self) -> dict[str, Any]:
        """Plain JSON types, ready for a topic or a column."""
        return self.model_dump(mode="json")


class Outcome(StrEnum):
    """How an attempt, a task, a stage or a run ended.

    ``failure`` is the code's fault, ``error`` is ours or the platform's.
    """

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    SKIPPED = "skipped"


class Runtime(StrEnum):
    """Where an attempt executes."""

    PROCESS = "process"
    DOCKER = "docker"
    KUBERNETES = "kubernetes"
    CLOUDRUN = "cloudrun"
    CLOUDBUILD = "cloudbuild"


class ChangeKind(StrEnum):
    PUSH = "push"
    PULL_REQUEST = "pull_request"
    TAG = "tag"
    MANUAL = "manual"
    SCHEDULE = "schedule"
    DISPATCH = "dispatch"
