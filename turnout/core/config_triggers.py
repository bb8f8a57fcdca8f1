"""The model of ``on:`` in ``pipeline.yml``: which changes start a run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field

from turnout.core.config_types import (
    Configured,
    Empty,
    Glob,
    Globs,
    Refused,
    Schedules,
    Variables,
    listed,
    some,
    unique,
)
from turnout.core.model import ChangeKind

_Types = Annotated[
    tuple[Glob, ...],
    BeforeValidator(listed, json_schema_input_type=list[str] | str),
    AfterValidator(unique),
]


class PushTrigger(Configured):
    """Pushes to branches."""

    branches: Globs = Field(default=(), description="Branches whose pushes count; none given: all.")
    paths: Globs = Field(
        default=(), description="At least one changed file must match; none given: any change counts."
    )


class PullRequestTrigger(Configured):
    """Pull requests that were opened or got new commits."""

    branches: Globs = Field(default=(), description="Target branches that count; none given: all.")
    paths: Globs = Field(
        default=(), description="At least one changed file must match; none given: any change counts."
    )


class TagTrigger(Configured):
    """Tags that were pushed."""

    tags: Globs = Field(default=(), description="Tags that count; none given: all.")


class ScheduleTrigger(Configured):
    """Points in time, in UTC."""

    cron: Annotated[Schedules, AfterValidator(some)] = Field(
        description='Minute, hour, day of month, month, day of week, like "0 3 * * *"; or a list of such.',
    )


class ManualTrigger(Configured):
    """Somebody asks for a run."""


def _distinct(names: tuple[str, ...]) -> tuple[str, ...]:
    """Raises: Refused where two would be one variable."""
    for index, name in enumerate(names):
        if input_variable(name) in map(input_variable, names[:index]):
            raise Refused(f"`{name}` and another one would both be {input_variable(name)}", "remove one")
    return names


def input_variable(name: str) -> str:
    """The variable in which stages find the input; by its prefix it can be none that a tool or a shell heeds."""
    return f"INPUT_{name.upper()}"


class DispatchTrigger(Configured):
    """What other systems ask for by GitHub's `repository_dispatch`."""

    types: _Types = Field(default=(), description="Types (`event_type`) that count; none given: all.")
    inputs: Annotated[Variables, AfterValidator(_distinct)] = Field(
        default=(),
        description="Fields of `client_payload` that stages get, `version` as the variable INPUT_VERSION; no others.",
    )


def _long(key: str = "") -> Callable[[object], object]:
    """``push:`` and ``push: true`` are ``push: {}``; ``push: false`` is none; a text or list is the field ``key``."""

    def read(value: object) -> object:
        if value is None or value is True:
            return {}
        if value is False:
            return None
        return {key: value} if key and isinstance(value, (str, list)) else value

    return read


def _by_name(value: object) -> object:
    """``on: push`` and ``on: [push, tag]`` name events without more rules."""
    if not isinstance(value, (str, list)):
        return value
    named = listed(value)
    if not isinstance(named, list) or not all(isinstance(each, str) for each in named):
        raise Refused("expected names of events, or a mapping of them", "write `on: [push, tag]`")
    return {each: {} for each in named}


class Triggers(Configured):
    """The events that start a run; an event that is not named starts nothing."""

    push: Annotated[
        PushTrigger | None,
        BeforeValidator(
            _long("branches"), json_schema_input_type=PushTrigger | list[str] | str | bool | Empty
        ),
    ] = Field(
        default=None, description="Pushes to branches. A pattern or a list of them is short for `branches`."
    )
    pull_request: Annotated[
        PullRequestTrigger | None,
        BeforeValidator(
            _long("branches"), json_schema_input_type=PullRequestTrigger | list[str] | str | bool | Empty
        ),
    ] = Field(default=None, description="Pull requests. A pattern or a list of them is short for `branches`.")
    tag: Annotated[
        TagTrigger | None,
        BeforeValidator(_long("tags"), json_schema_input_type=TagTrigger | list[str] | str | bool | Empty),
    ] = Field(default=None, description="Tags. A pattern or a list of them is short for `tags`.")
    schedule: Annotated[
        ScheduleTrigger | None,
        BeforeValidator(_long("cron"), json_schema_input_type=ScheduleTrigger | list[str] | str),
    ] = Field(default=None, description="Points in time. A text or a list of them is short for `cron`.")
    manual: Annotated[
        ManualTrigger | None, BeforeValidator(_long(), json_schema_input_type=ManualTrigger | bool | Empty)
    ] = Field(default=None, description="Runs that somebody asks for.")

    dispatch: Annotated[
        DispatchTrigger | None,
        BeforeValidator(
            _long("types"), json_schema_input_type=DispatchTrigger | list[str] | str | bool | Empty
        ),
    ] = Field(
        default=None,
        description="What other systems ask for by a dispatch. A pattern or a list of them is short for `types`.",
    )

    @property
    def events(self) -> tuple[str, ...]:
        """The events that can start a run, in a fixed order."""
        return tuple(kind.value for kind in ChangeKind if getattr(self, kind.value) is not None)


On = Annotated[
    Triggers, BeforeValidator(_by_name, json_schema_input_type=Triggers | list[ChangeKind] | ChangeKind)
]

DEFAULT_TRIGGERS = Triggers(
    push=PushTrigger(), pull_request=PullRequestTrigger(), tag=TagTrigger(), manual=ManualTrigger()
)
