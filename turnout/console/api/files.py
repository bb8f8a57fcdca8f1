"""What a pipeline file would do: checked and planned as the server does it, with nothing run."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Body
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from turnout.adapters.config_files import read_pipeline
from turnout.console.api.asked import Parts, Who, errors
from turnout.console.identity import allowed
from turnout.core.access import Role, Viewer
from turnout.core.change import Change
from turnout.core.config import PipelineConfig, ProjectConfig
from turnout.core.errors import InvalidConfig, PermanentError, Problem
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered, Plan
from turnout.core.planner import plan
from turnout.core.simulation import Simulation
from turnout.simulating import MOST
from turnout.wiring import Wiring
from turnout.wiring.trying import simulating

router = APIRouter(tags=["pipeline files"])
NOBODY = "local/local"
"""The project of a file that none is named for: one without rules."""

MOST_TEXT = 250_000
Text = Annotated[str, Field(max_length=300)]


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class File(_Asked):
    content: str = Field(max_length=MOST_TEXT, description="The file's text (YAML).")
    file: str = Field(
        default="pipeline.yml", min_length=1, max_length=300, description="What problems call it."
    )
    project: str = Field(
        default="", max_length=300, description="owner/name: whose rules hold; empty: nobody's."
    )


class Planned(File):
    event: ChangeKind = Field(default=ChangeKind.PUSH, description="What happened.")
    branch: str = Field(default="main", min_length=1, max_length=300)
    tag: str = Field(default="", max_length=300, description="For a tag event.")
    paths: list[Text] | None = Field(
        default=None, max_length=3000, description="Changed files; null: not known."
    )


class Tried(_Asked):
    """Two texts of one pipeline file, tried on what has happened."""

    project: str = Field(min_length=1, max_length=300, description="owner/name: whose recorded changes.")
    content: str = Field(max_length=MOST_TEXT, description="The new file's text (YAML).")
    old: str | None = Field(
        default=None, max_length=MOST_TEXT, description="What it takes the place of; null: there was none."
    )
    file: str = Field(
        default="pipeline.yml", min_length=1, max_length=300, description="What problems call it."
    )
    last: int = Field(default=50, ge=1, le=MOST, description="How many changes, the newest first.")


class WrongThere(BaseModel):
    """``line`` and ``column`` from 1; 0: not known."""

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str

    @classmethod
    def of(cls, problem: Problem) -> WrongThere:
        return cls(
            file=problem.file,
            line=problem.line,
            column=problem.column,
            path=problem.path,
            message=problem.message,
            hint=problem.hint,
        )


class Checked(BaseModel):
    valid: bool
    errors: list[WrongThere] = Field(description="Everything that is wrong, at once.")


class WouldRun(BaseModel):
    """``plan``: null where nothing would run; ``reason`` says why."""

    plan: Plan | None
    reason: str


@router.post(
    "/validate",
    operation_id="validate_pipeline",
    summary="Check a pipeline file",
    response_model=Checked,
    responses=errors(413),
)
def validate(who: Who, parts: Parts, body: Annotated[File, Body()]) -> Checked:
    """A file that is not valid is an answer, too: 200, with everything that is wrong with it."""
    try:
        _read(parts, body, _project(who, parts, body.project))
    except InvalidConfig as error:
        return Checked(valid=False, errors=[WrongThere.of(each) for each in error.problems])
    return Checked(valid=True, errors=[])


@router.post(
    "/plan",
    operation_id="plan_pipeline",
    summary="What a pipeline file would run for a change",
    response_model=WouldRun,
    responses=errors(413),
)
def planned(who: Who, parts: Parts, body: Annotated[Planned, Body()]) -> WouldRun:
    """The same plan and digest that the orchestrator would make; a file that is not valid is a 422."""
    project = _project(who, parts, body.project)
    found = plan(_read(parts, body, project), project, _change(project.repository, body))
    if isinstance(found, NotTriggered):
        return WouldRun(plan=None, reason=found.reason)
    return WouldRun(plan=found, reason="")


@router.post(
    "/simulate",
    operation_id="simulate_pipeline",
    summary="What recorded changes would have run with another pipeline file",
    response_model=Simulation,
    responses=errors(413),
)
def simulate(who: Who, parts: Parts, body: Annotated[Tried, Body()]) -> Simulation:
    """Each change goes through the old and the new file; what differs in runs, stages, secrets and environments is
    told, what weakens security first. Nothing is run."""
    _project(who, parts, body.project)
    return simulating(parts)(body.project, body.old, body.content, last=body.last, file=body.file)


def _project(who: Viewer, parts: Wiring, name: str) -> ProjectConfig:
    """Raises: Refused, InvalidConfig."""
    if not name:
        return ProjectConfig(repository=NOBODY)
    allowed(who, Role.VIEWER, name)
    return parts.projects.find(name) or _without_rules(name)


def _without_rules(project: str) -> ProjectConfig:
    """Raises: PermanentError for what no project can be called."""
    try:
        return ProjectConfig(repository=project)
    except ValidationError as error:
        raise PermanentError(f"{project!r} is no project's name", "name it owner/name") from error


def _read(parts: Wiring, body: File, project: ProjectConfig) -> PipelineConfig:
    return read_pipeline(body.content, body.file, project, parts.settings.kinds)


def _change(repository: str, body: Planned) -> Change:
    tag = body.tag or ("v0.0.0" if body.event is ChangeKind.TAG else "")
    return Change(
        kind=body.event,
        repository=repository,
        clone_url="",
        ref=f"refs/tags/{tag}" if tag else f"refs/heads/{body.branch}",
        sha="0" * 40,
        branch="" if tag else body.branch,
        tag=tag,
        base_branch="main",
        paths=tuple(body.paths) if body.paths is not None else None,
    )
