"""The model of one stage in ``pipeline.yml``, with its parts. Durations are in seconds, sizes in bytes."""

from __future__ import annotations

import re
from itertools import product
from math import prod
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field

from turnout.core.config_types import (
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
    Text,
    Variable,
    Variables,
    Whole,
    lasting,
    listed,
    some,
    unique,
)
from turnout.core.durations import MAX_DURATION
from turnout.core.model import ChangeKind, Outcome, Runtime

MAX_CELLS = 200
MAX_BACKOFF = 6 * 3600.0

_CELL = re.compile(r"[^\x00-\x1f\x7f,\[\]]{1,100}")
_DAY = 24 * 3600.0


class RetriesConfig(Configured):
    """Attempts after the first. Retry n is due backoff * factor ** (n - 1) after the attempt before it."""

    max: Annotated[Whole, Field(ge=0, le=10)] = Field(
        default=1, description="How many more attempts, 0 to 10."
    )
    backoff: Annotated[Duration, lasting(0, MAX_BACKOFF)] = Field(
        default=0.0, description="Wait before the first retry."
    )
    factor: Annotated[Number, Field(ge=1, le=10)] = Field(
        default=2.0, description="How the wait grows from retry to retry."
    )
    on: Annotated[
        tuple[Literal[Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT], ...],
        BeforeValidator(listed, json_schema_input_type=list[Literal["failure", "error", "timed_out"]] | str),
        AfterValidator(some),
    ] = Field(
        default=(Outcome.FAILURE, Outcome.ERROR, Outcome.TIMED_OUT),
        description="The outcomes that are tried again.",
    )


def _retries(value: object) -> object:
    return {"max": value} if isinstance(value, int) and not isinstance(value, bool) else value


class ApprovalConfig(Configured):
    """People who must agree before the stage starts."""

    required: Annotated[Whole, Field(ge=1, le=20)] = Field(
        default=1, description="How many people must agree."
    )
    by: People = Field(
        default=(), description="Who may: @user or @org/team; none given: everyone who may use Turnout."
    )
    expires: Annotated[Duration, lasting(1, MAX_DURATION)] = Field(
        default=_DAY, description="After this it counts as rejected."
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

    cpu: Cores = Field(default=0.0, description="Cores, like 2, 0.5 or 500m; 0: no limit of its own.")
    memory: Size = Field(default=0, description="Memory, like 512Mi or 2Gi; 0: no limit of its own.")


class When(Configured):
    """Rules that must all hold for the stage to run; where one doesn't, the stage is skipped and the next go on."""

    branch: Globs = Field(
        default=(), description="The branch that the commit is on. A fork's branch never matches."
    )
    tag: Globs = Field(default=(), description="The tag that was pushed.")
    paths: Globs = Field(
        default=(), description="At least one changed file matches; holds too when the files aren't known."
    )
    event: Annotated[
        tuple[ChangeKind, ...],
        BeforeValidator(listed, json_schema_input_type=list[ChangeKind] | ChangeKind),
        AfterValidator(unique),
    ] = Field(default=(), description="What happened.")
    environment: Names = Field(
        default=(), description="The stage's environment, or the pipeline's `deploy_environment`."
    )


def _check_matrix(axes: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    cells = prod(len(values) for values in axes.values())
    if cells > MAX_CELLS:
        count = f"{cells:,}" if cells < 1_000_000 else "over a million"
        raise Refused(f"the matrix has {count} cells, at most {MAX_CELLS} are allowed", "take values away")
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
            BeforeValidator(listed, json_schema_input_type=list[Text] | Text),
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
    agent: Name = Field(default="", description="What does it; not given: the name.")
    needs: Names | None = Field(
        default=None,
        description="The stages it comes after; [] starts at once; not given: what is above it in the list.",
    )
    options: dict[str, Any] = Field(default={}, alias="with", description="The agent's options.")
    matrix: Matrix = Field(
        default={}, description="Axes and their values; the stage runs once for each combination."
    )
    when: When | None = Field(default=None, description="Rules that must all hold for the stage to run.")
    retries: Annotated[
        RetriesConfig | None, BeforeValidator(_retries, json_schema_input_type=RetriesConfig | int)
    ] = Field(default=None, description="Attempts after the first, or how many of them.")
    timeout: Annotated[Duration, lasting(1, MAX_DURATION)] | None = Field(
        default=None, description="How long an attempt may take; not given: 1h."
    )
    allow_failure: Flag = Field(
        default=False, description="Whether the run goes on, and can succeed, when the stage fails."
    )
    fail_fast: Flag = Field(
        default=True, description="Whether a failed cell of the matrix cancels the others."
    )
    runtime: Runtime | None = Field(
        default=None, description="Where it executes; not given: what the project says."
    )
    resources: ResourcesConfig = Field(
        default=ResourcesConfig(), description="What an attempt may use at most."
    )
    network: Flag = Field(default=False, description="Whether its tools may use the network.")
    env: dict[Variable, Text] = Field(default={}, description="Environment variables for its tools.")
    secrets: Variables = Field(
        default=(), description="Names of secrets that its tools get as environment variables."
    )
    environment: Name | None = Field(
        default=None,
        description="What it deploys to; a deploy stage without: the pipeline's `deploy_environment`.",
    )
    approval: MaybeApproval = Field(default=None, description="People who must agree before it starts.")
    rollback: Annotated[bool | str, BeforeValidator(_check_rollback)] = Field(
        default=False,
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
