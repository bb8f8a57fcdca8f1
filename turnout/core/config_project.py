"""The models of ``project.yml``: what the operator says of a repository. `turnout.core.config` makes them.

The operator's word stands above the repository's: limits cut what a pipeline asks for, environments say who may
reach them, secrets exist only where they are bound here.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from turnout.core.config_access import AccessConfig, SlackPeople
from turnout.core.config_stage import MaybeApproval
from turnout.core.config_types import (
    NAME_PATTERN,
    Addresses,
    Channel,
    Configured,
    Cores,
    Duration,
    Empty,
    Flag,
    Globs,
    Name,
    People,
    Refused,
    Size,
    Variable,
    Whole,
    lasting,
    unique,
)
from turnout.core.durations import MAX_DURATION
from turnout.core.model import Runtime

PIPELINE_FILES = ("pipeline.yml", ".turnout/pipeline.yml")
"""Where a pipeline file is looked for, in this order, when the project names none."""

_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}")
_PASSWORD = re.compile(
    r"://[^/@]*:[^/@]*@|^https?://[^/@]*@", re.IGNORECASE
)  # a token stands alone before the @
EVERY_STAGE = "*"
_ASKED = re.compile(rf"(stage:)?{NAME_PATTERN}|\*")
_URL = re.compile(r"https?://[^\s/?#@]+(/[^\s?#]*)?")


def _check_repository(value: str) -> str:
    if not _REPOSITORY.fullmatch(value) or set(value.split("/")) & {".", ".."}:
        raise Refused("expected a repository like `owner/name`")
    return value


def _check_inside(value: str) -> str:
    if not value or value.startswith("/") or "\\" in value or set(value.split("/")) & {"", ".", ".."}:
        raise Refused("expected a path inside the repository, like `ci/pipeline.yml`")
    return value


def _check_absolute(value: str) -> str:
    if not value.startswith("/") or ".." in value.split("/"):
        raise Refused("expected an absolute path, like `/run/secrets/npm-token`")
    return value


def _check_base_url(value: str) -> str:
    if value and not _URL.fullmatch(value):
        raise Refused("expected an address like `https://github.example.org/api/v3`, without user or query")
    return value.rstrip("/")


def _check_clone_url(value: str) -> str:
    if value.startswith("-") or any(character.isspace() for character in value):
        raise Refused("expected a URL or path that git can clone")
    if _PASSWORD.search(value):
        raise Refused("a password has no place in the address", "let git or the provider's app log in")
    return value


class ProviderConfig(Configured):
    """Who hosts the repository."""

    kind: Literal["github", "git"] = Field(
        default="github", description="git: any remote, read by git alone."
    )
    base_url: Annotated[str, AfterValidator(_check_base_url)] = Field(
        default="", description="The API's address; not given: https://api.github.com."
    )


class BranchesConfig(Configured):
    """Which branches are special."""

    default: str = Field(
        default="main", min_length=1, description="The branch that schedules and manual runs take."
    )
    protected: Globs = Field(
        default=(),
        description="The branches that reach environments with no `branches` of their own; none given: all.",
    )


class SecretBinding(Configured):
    """Where the server finds a secret's value: exactly one of these."""

    env: Variable | None = Field(default=None, description="An environment variable of the server.")
    file: Annotated[str, AfterValidator(_check_absolute)] | None = Field(
        default=None, description="A file on the server."
    )


def _one_source(value: SecretBinding) -> SecretBinding:
    if (value.env is None) == (value.file is None):
        raise Refused("expected exactly one of `env` and `file`", "write `{env: NAME}` or `{file: /path}`")
    return value


Secrets = dict[Variable, Annotated[SecretBinding, AfterValidator(_one_source)]]


def _attested_long_form(value: object) -> object:
    """``true`` asks for every stage before it, ``false`` for nothing, one word is a list of one."""
    if isinstance(value, bool):
        return [EVERY_STAGE] if value else []
    return [value] if isinstance(value, str) else value


def _check_asked(value: str) -> str:
    if not _ASKED.fullmatch(value):
        raise Refused("expected an agent like `security`, or a stage like `stage:unit`")
    return value


AskedOfImages = Annotated[
    tuple[Annotated[str, AfterValidator(_check_asked)], ...],
    BeforeValidator(_attested_long_form, json_schema_input_type=bool | str | list[str]),
    AfterValidator(unique),
]
"""`EVERY_STAGE`, agents' kinds, or names of stages after ``stage:``."""


class CheckoutConfig(Configured):
    """What the server at ``clone_url`` asks for; a password or token that may read and nothing else is enough."""

    username: str = Field(
        default="x-access-token",
        pattern=r"^[^:\x00-\x20\x7f]+$",
        description="GitHub takes any name beside a token; GitLab `oauth2`.",
    )
    password: Annotated[SecretBinding, AfterValidator(_one_source)] = Field(
        description="Where the server finds the password or token."
    )


class EnvironmentConfig(Configured):
    """A place that stages deploy to."""

    branches: Globs = Field(default=(), description="Branches that may reach it.")
    tags: Globs = Field(default=(), description="Tags that may reach it.")
    approval: MaybeApproval = Field(
        default=None, description="People who must agree before any stage of it starts."
    )
    secrets: Secrets = Field(default={}, description="Secrets of its stages; they win over the project's.")
    attested: AskedOfImages = Field(
        default=(),
        description="What must be attested to have passed on an image before it is deployed: agents, or stages like "
        "stage:unit; true: every stage before it.",
    )


def _empty(value: object) -> object:
    """``staging:`` alone is an environment without rules."""
    return {} if value is None else value


Environment = Annotated[
    EnvironmentConfig, BeforeValidator(_empty, json_schema_input_type=EnvironmentConfig | Empty)
]


class ForksConfig(Configured):
    """Pull requests from forks. They use the base branch's pipeline and never get secrets or reach environments."""

    run: Literal["approval", "never", "always"] = Field(
        default="approval", description="approval: somebody must agree before anything starts."
    )
    by: People = Field(
        default=(), description="Who may agree: @user or @org/team; none given: everyone who may use Turnout."
    )
    network: Flag = Field(
        default=False, description="Whether tools get network where the pipeline asks for it."
    )
    secrets: Literal["never"] = Field(
        default="never", description="Forks never get secrets; this cannot be changed."
    )


class LimitsConfig(Configured):
    """The most that a pipeline gets. What asks for more is cut to it, and the plan says so."""

    timeout_max: Annotated[Duration, lasting(1, MAX_DURATION)] | None = Field(
        default=None, description="Of one attempt."
    )
    parallel: Annotated[Whole, Field(ge=1, le=1000)] | None = Field(
        default=None, description="Attempts of a run at a time."
    )
    retries_max: Annotated[Whole, Field(ge=0, le=10)] | None = Field(
        default=None, description="Retries of a stage."
    )
    cpu: Cores | None = Field(
        default=None, description="Cores of one attempt; also for stages that ask for none."
    )
    memory: Size | None = Field(
        default=None, description="Memory of one attempt; also for stages that ask for none."
    )


class ChannelsConfig(Configured):
    """Where people are told when the pipeline names nothing."""

    slack: Channel = Field(default="", description="A Slack channel.")
    email: Addresses = Field(default=(), description="E-mail addresses.")


class CacheConfig(Configured):
    """What is kept between runs."""

    dependencies: Flag = Field(
        default=True, description="The dependencies that agents install, keyed by their lock files."
    )


class ProjectConfig(Configured):
    """A repository that Turnout serves, with the operator's rules for it."""

    repository: Annotated[str, AfterValidator(_check_repository)] = Field(description="owner/name.")
    clone_url: Annotated[str, AfterValidator(_check_clone_url)] = Field(
        default="", description="Where git clones it from; not given: what the change says."
    )
    checkout: CheckoutConfig | None = Field(
        default=None, description="Who reads the repository at `clone_url`, where not everybody may."
    )
    provider: ProviderConfig = Field(default=ProviderConfig(), description="Who hosts the repository.")
    branches: BranchesConfig = Field(default=BranchesConfig(), description="Which branches are special.")
    pipeline_file: Annotated[str, AfterValidator(_check_inside)] | None = Field(
        default=None, description="The pipeline file; not given: pipeline.yml, then .turnout/pipeline.yml."
    )
    secrets: Secrets = Field(
        default={}, description="Secrets that stages may ask for, and where the server finds them."
    )
    environments: dict[Name, Environment] = Field(
        default={}, description="Where stages may deploy to; none given: any name is taken."
    )
    forks: ForksConfig = Field(default=ForksConfig(), description="Pull requests from forks.")
    limits: LimitsConfig = Field(default=LimitsConfig(), description="The most that a pipeline gets.")
    channels: ChannelsConfig = Field(
        default=ChannelsConfig(), description="Where people are told by default."
    )
    runtime: Runtime = Field(
        default=Runtime.PROCESS, description="Where stages execute that say nothing themselves."
    )
    cache: CacheConfig = Field(default=CacheConfig(), description="What is kept between runs.")
    access: AccessConfig | None = Field(
        default=None,
        description="Who may do what; not given: who may write to the repository on GitHub is an operator.",
    )
    public_badge: bool = Field(
        default=False,
        description="Everybody may see the badge; not given: who may look at the project's runs.",
    )
    people: SlackPeople = Field(
        default={}, description="Who presses the buttons in Slack: member IDs and the people they belong to."
    )

    @property
    def stated(self) -> bool:
        """Whether the operator has said anything; a project made from its name alone forbids nothing."""
        return self.model_fields_set != {"repository"}

    @property
    def pipeline_files(self) -> tuple[str, ...]:
        """The paths to look at, in this order; the first that exists counts."""
        return (self.pipeline_file,) if self.pipeline_file else PIPELINE_FILES

    def bound_secrets(self, environment: str) -> dict[str, SecretBinding]:
        """By name, the bindings that hold for a stage of ``environment`` (empty: for one of none)."""
        own = self.environments[environment].secrets if environment in self.environments else {}
        return {**self.secrets, **own}


class ProjectFile(Configured):
    """``project.yml``. Keys beginning with ``x-`` are left alone: a place for anchors."""

    project: ProjectConfig
