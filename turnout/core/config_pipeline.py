"""The models of ``pipeline.yml``: what a repository asks for. `turnout.core.config` makes them.

Short forms (a word for a stage, a number for ``retries``) become the long ones on the way in, so that the rest of
the program knows one form of each.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag

from turnout.core.config_checkout import CheckoutConfig
from turnout.core.config_stage import StageConfig, stage_long_form
from turnout.core.config_triggers import DEFAULT_TRIGGERS, On
from turnout.core.config_types import (
    Addresses,
    Channel,
    Configured,
    Flag,
    Name,
    Refused,
    listed,
    nearest,
    some,
    unique,
)

MAX_STAGES = 100
MAX_TASKS = 1000
"""Cells of all stages together."""
PLACEHOLDERS = ("ref", "branch", "project", "event", "number")

_BRACED = re.compile(r"\{[^{}]*\}?|\}")


def _check_group(value: str) -> str:
    known = [f"{{{each}}}" for each in PLACEHOLDERS]
    for found in _BRACED.findall(value):
        if found not in known:
            raise Refused(
                f"`{found}` is no placeholder", nearest(found, known) or f"there are {', '.join(known)}"
            )
    return value


class ConcurrencyConfig(Configured):
    """Runs of one group don't run beside each other: a newer one waits for the older, or cancels it."""

    group: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_check_group)] = Field(
        description="The group's name; may hold {ref}, {branch}, {project}, {event}, {number}."
    )
    cancel_superseded: Flag | None = Field(
        default=None, description="Whether a newer run cancels the older; not given: for pull requests only."
    )


def _group(value: object) -> object:
    return {"group": value} if isinstance(value, str) else value


def _shape(value: object) -> str:
    return "<group>" if isinstance(value, (list, tuple)) else "<stage>"


Stage = Annotated[StageConfig, BeforeValidator(stage_long_form, json_schema_input_type=str | StageConfig)]
Group = Annotated[tuple[Stage, ...], AfterValidator(some)]
Step = Annotated[Annotated[Stage, Tag("<stage>")] | Annotated[Group, Tag("<group>")], Discriminator(_shape)]
TAGS = frozenset({"<stage>", "<group>"})
"""Steps of pydantic's error locations that are in no file."""


class NotifyConfig(Configured):
    """Where and on what people are told. A failure is always told."""

    slack: Channel = Field(default="", description="A Slack channel; not given: the operator's.")
    email: Addresses = Field(default=(), description="E-mail addresses.")
    on: Annotated[
        tuple[Literal["failure", "recovered", "success"], ...],
        BeforeValidator(
            listed, json_schema_input_type=list[Literal["failure", "recovered", "success"]] | str
        ),
        AfterValidator(unique),
    ] = Field(default=("failure", "recovered"), description="What is told besides failures.")


class PipelineConfig(Configured):
    """What is done for a change of the repository."""

    on: On = Field(
        default=DEFAULT_TRIGGERS, description="The events that start a run; not given: all but a schedule."
    )
    concurrency: Annotated[
        ConcurrencyConfig | None,
        BeforeValidator(_group, json_schema_input_type=ConcurrencyConfig | str),
    ] = Field(
        default=None,
        description="Which runs don't run beside each other; not given: those of one pull request.",
    )
    stages: Annotated[tuple[Step, ...], AfterValidator(some)] = Field(
        description="The steps, in order. A word names an agent; a nested list runs in parallel."
    )
    retry_on_failure: Flag = Field(
        default=False, description="One retry, at once, for each stage without `retries`."
    )
    notify_on_success: Flag = Field(default=False, description="Adds success to `notify.on`.")
    deploy_environment: Name | None = Field(
        default=None, description="The environment of deploy stages that name none."
    )
    fail_fast: Flag = Field(
        default=True, description="Whether a stage that has failed for good cancels what runs beside it."
    )
    checkout: CheckoutConfig = Field(
        default=CheckoutConfig(), description="What is checked out besides the commit's own files."
    )
    notify: NotifyConfig = Field(default=NotifyConfig(), description="Where and on what people are told.")

    @property
    def groups(self) -> tuple[tuple[StageConfig, ...], ...]:
        """The steps, each as the stages that stand side by side in it."""
        return tuple(each if isinstance(each, tuple) else (each,) for each in self.stages)


def needs_paths(config: PipelineConfig) -> bool:
    """Whether any rule of the config asks which files a change touches."""
    triggers = (config.on.push, config.on.pull_request)
    if any(each is not None and each.paths for each in triggers):
        return True
    return any(stage.when is not None and stage.when.paths for group in config.groups for stage in group)


class PipelineFile(Configured):
    """``pipeline.yml``. Keys beginning with ``x-`` are left alone: a place for anchors."""

    pipeline: PipelineConfig
