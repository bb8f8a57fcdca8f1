"""The models of ``pipeline.yml``: what a repository asks for. `turnout.core.config` makes them.

Short forms (a word for a stage, a number for ``retries``) become the long ones on the way in, so that the rest of
the program knows one form of each. Durations are in seconds, sizes in bytes.
"""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Discriminator, Field, Tag

from turnout.core.config_triggers import DEFAULT_TRIGGERS, On
from turnout.core.config_types import (
    Addresses,
    Channel,
    Configured,
    Cores,
    Duration,
    Flag,
    Globs,
    Name,
    Names,
    Number,
    People,
    Refused,
    Size,
    Variable,
    Variables,
    Whole,
    lasting,
    listed,
    nearest,
    some,
    unique,
)
from turnout.core.durations import MAX_DURATION
from turnout.core.model import ChangeKind, Outcome, Runtime

MAX_STAGES = 100
MAX_CELLS = 200
MAX_TASKS = 1000
"""Cells of all stages together."""
PLACEHOLDERS = ("ref", "branch", "project", "event", "number")

_BRACED = re.compile(r"\{[^{}]*\}?|\}")
_CELL = re.compile(r"[^\x00-\x1f\x7f,\[\]]{1,100}")
MAX_BACKOFF = 6 * 3600.0
_DAY = 24 * 3600.0


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
        None, description="Whether a newer run cancels the older; not given: for pull requests only."
    )


def _group(value: object) -> object:
    return {"group": value} if isinstance(value, str) else value


class RetriesConfig(Configured):
    """Attempts after the first. Retry n is due backoff * factor ** (n - 1) after the attempt before it."""

    max: Annotated[Whole, Field(ge=0, le=10)] = Field(1, description="How many more attempts, 0 to 10.")
    backoff: Annotated[Duration, lasting(0, MAX_BACKOFF)] = Field(
        0.0, description="Wait before the first retry."
    )
    factor: Annotated[Number, Field(ge=1, le=10)] = Field(
        2.0, description="How the wait grows from retry to retry."
    )
    on: Annotated[
        tuple[Literal[Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT], ...],
        BeforeValidator(listed, json_schema_input_type=list[Literal["failure", "error", "timed_out"]] | str),
        AfterValidator(some),
    ] = Field(
        (Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT), description="The outcomes that are tried again."
    )


def _retries(value: object) -> object:
    return {"max": value} if isinstance(value, int) and not isinstance(value, bool) else value


class ApprovalConfig(Configured):
    """People who must agree before the stage starts."""

    required: Annotated[Whole, Field(ge=1, le=20)] = Field(1, description="How many people must agree.")
    by: People = Field(
        (), description="Who may: @user or @org/team; none given: everyone who may use Turnout."
    )
    expires: Annotated[Duration, lasting(1, MAX_DURATION)] = Field(
        _DAY, description="After this it counts as rejected."
    )


def approval_long_form(value: object) -> object:
    """``true`` asks for one person, ``2`` for two, ``false`` for none."""
    if isinstance(value, bool):
        return {} if value else None
    return {"required": value} if isinstance(value, int) else value


MaybeApproval = Annotated[
    ApprovalConfig | None,
    BeforeValidator(approval_long_form, json_schema_input_type=ApprovalConfig | bool | int),
]


class ResourcesConfig(Configured):
    """What an attempt may use at most."""

    cpu: Cores = Field(0.0, description="Cores, like 2, 0.5 or 500m; 0: no limit of its own.")
    memory: Size = Field(0, description="Memory, like 512Mi or 2Gi; 0: no limit of its own.")


class When(Configured):
    """Rules that must all hold for the stage to run; where one doesn't, the stage is skipped and the next go on."""

    branch: Globs = Field((), description="The branch that the commit is on. A fork's branch never matches.")
    tag: Globs = Field((), description="The tag that was pushed.")
    paths: Globs = Field(
        (), description="At least one changed file matches; holds too when the files aren't known."
    )
    event: Annotated[
        tuple[ChangeKind, ...],
        BeforeValidator(listed, json_schema_input_type=list[ChangeKind] | ChangeKind),
        AfterValidator(unique),
    ] = Field((), description="What happened.")
    environment: Names = Field(
        (), description="The stage's environment, or the pipeline's `deploy_environment`."
    )


def _check_matrix(axes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    cells = prod(len(values) for values in axes.values())
    if cells > MAX_CELLS:
        raise Refused(f"the matrix has {cells:,} cells, at most {MAX_CELLS} are allowed", "take values away")
    return axes


def _check_cell(value: str) -> str:
    if not _CELL.fullmatch(value):
        raise Refused("expected 1 to 100 characters, no comma and no square bracket among them")
    return value


Matrix = Annotated[
    dict[
        Variable,
        Annotated[
            tuple[Annotated[str, AfterValidator(_check_cell)], ...],
            BeforeValidator(listed, json_schema_input_type=list[str | int | float | bool] | str),
            AfterValidator(some),
            AfterValidator(unique),
        ],
    ],
    AfterValidator(some),
    AfterValidator(_check_matrix),
]


def _check_rollback(value: object) -> object:
    if not isinstance(value, (bool, str)):
        raise Refused("expected true, or the name of a deploy stage")
    return value


def _name_or_agent(schema: dict[str, Any]) -> None:
    schema.pop("required", None)
    schema["anyOf"] = [{"required": ["name"]}, {"required": ["agent"]}]


class StageConfig(Configured):
    """One step of the pipeline."""

    name: Name = Field(description="Unique in the pipeline; not given: the agent.")
    agent: Name = Field("", description="What does it; not given: the name.")
    needs: Names | None = Field(
        None,
        description="The stages it comes after; [] starts at once; not given: what is above it in the list.",
    )
    options: dict[str, Any] = Field({}, alias="with", description="The agent's options.")
    matrix: Matrix = Field({}, description="Axes and their values; the stage runs once for each combination.")
    when: When | None = Field(None, description="Rules that must all hold for the stage to run.")
    retries: Annotated[
        RetriesConfig | None, BeforeValidator(_retries, json_schema_input_type=RetriesConfig | int)
    ] = Field(None, description="Attempts after the first, or how many of them.")
    timeout: Annotated[Duration, lasting(1, MAX_DURATION)] | None = Field(
        None, description="How long an attempt may take; not given: 1h."
    )
    allow_failure: Flag = Field(
        False, description="Whether the run goes on, and can succeed, when the stage fails."
    )
    fail_fast: Flag = Field(True, description="Whether a failed cell of the matrix cancels the others.")
    runtime: Runtime | None = Field(None, description="Where it executes; not given: what the project says.")
    resources: ResourcesConfig = Field(ResourcesConfig(), description="What an attempt may use at most.")
    network: Flag = Field(False, description="Whether its tools may use the network.")
    env: dict[Variable, str] = Field({}, description="Environment variables for its tools.")
    secrets: Variables = Field(
        (), description="Names of secrets that its tools get as environment variables."
    )
    environment: Name | None = Field(
        None, description="What it deploys to; a deploy stage without: the pipeline's `deploy_environment`."
    )
    approval: MaybeApproval = Field(None, description="People who must agree before it starts.")
    rollback: Annotated[bool | str, BeforeValidator(_check_rollback)] = Field(
        False,
        description="When the stage fails: roll back what it deployed (true), or what the stage named here did.",
    )

    model_config = ConfigDict(json_schema_extra=_name_or_agent)

    def cells(self) -> tuple[dict[str, str], ...]:
        """The combinations of the matrix in the order of the file, the last axis fastest; one empty cell without."""
        return tuple(dict(zip(self.matrix, values, strict=True)) for values in product(*self.matrix.values()))


def stage_long_form(value: object) -> object:
    """A word is a stage whose name and agent are that word; of name and agent, one is enough."""
    if isinstance(value, str):
        return {"name": value, "agent": value}
    if isinstance(value, dict) and ("name" in value) != ("agent" in value):
        given = value.get("name", value.get("agent"))
        return {"name": given, "agent": given} | value
    return value


def stage_environment(stage: StageConfig, deploy_environment: str | None) -> str:
    """What the stage deploys to, or belongs to; empty: nothing."""
    return stage.environment or (deploy_environment if stage.agent == "deploy" else "") or ""


def _shape(value: object) -> str:
    return "<group>" if isinstance(value, (list, tuple)) else "<stage>"


Stage = Annotated[StageConfig, BeforeValidator(stage_long_form, json_schema_input_type=str | StageConfig)]
Group = Annotated[tuple[Stage, ...], Field(min_length=1)]
Step = Annotated[Annotated[Stage, Tag("<stage>")] | Annotated[Group, Tag("<group>")], Discriminator(_shape)]
TAGS = frozenset({"<stage>", "<group>"})
"""Steps of pydantic's error locations that are in no file."""


class NotifyConfig(Configured):
    """Where and on what people are told. A failure is always told."""

    slack: Channel = Field("", description="A Slack channel; not given: the operator's.")
    email: Addresses = Field((), description="E-mail addresses.")
    on: Annotated[
        tuple[Literal["failure", "recovered", "success"], ...],
        BeforeValidator(
            listed, json_schema_input_type=list[Literal["failure", "recovered", "success"]] | str
        ),
        AfterValidator(unique),
    ] = Field(("failure", "recovered"), description="What is told besides failures.")


class PipelineConfig(Configured):
    """What is done for a change of the repository."""

    on: On = Field(
        DEFAULT_TRIGGERS, description="The events that start a run; not given: all but a schedule."
    )
    concurrency: Annotated[
        ConcurrencyConfig | None,
        BeforeValidator(_group, json_schema_input_type=ConcurrencyConfig | str),
    ] = Field(
        None, description="Which runs don't run beside each other; not given: those of one pull request."
    )
    stages: Annotated[tuple[Step, ...], Field(min_length=1)] = Field(
        description="The steps, in order. A word names an agent; a nested list runs in parallel."
    )
    retry_on_failure: Flag = Field(False, description="One retry, at once, for each stage without `retries`.")
    notify_on_success: Flag = Field(False, description="Adds success to `notify.on`.")
    deploy_environment: Name | None = Field(
        None, description="The environment of deploy stages that name none."
    )
    fail_fast: Flag = Field(
        True, description="Whether a stage that has failed for good cancels what runs beside it."
    )
    notify: NotifyConfig = Field(NotifyConfig(), description="Where and on what people are told.")

    @property
    def groups(self) -> tuple[tuple[StageConfig, ...], ...]:
        """The steps, each as the stages that stand side by side in it."""
        return tuple(each if isinstance(each, tuple) else (each,) for each in self.stages)


class PipelineFile(Configured):
    """``pipeline.yml``. Keys beginning with ``x-`` are left alone: a place for anchors."""

    pipeline: PipelineConfig
