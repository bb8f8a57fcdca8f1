"""What a pull request would change of how its repository is built: its pipeline file beside that of its base. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator

from turnout.core.change import Change
from turnout.core.config_pipeline import PipelineConfig
from turnout.core.config_project import ProjectConfig
from turnout.core.config_triggers import Triggers
from turnout.core.difference import PlanDifference, compare
from turnout.core.errors import InvalidConfig
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered, Plan
from turnout.core.planner import plan
from turnout.core.proposal import Proposal

MOST = 40
"""Differences that are kept of one comparison."""
LONGEST = 200
"""Characters of one trigger."""


def propose(
    file: str, old: PipelineConfig | None, new: PipelineConfig | None, project: ProjectConfig, change: Change
) -> Proposal:
    """``old``, ``new``: the base's and the pull request's; None: there is no such file."""
    if change.fork:  # patterns and names that a stranger chose together take too long to compare
        change = change.with_(paths=None)
    return Proposal(
        file=file,
        here=_compared(old, new, project, change),
        merged=_compared(old, new, project, merged(change)),
        triggers=tuple(_triggers(old.on if old else Triggers(), new.on if new else Triggers()))[:MOST],
    )


def merged(change: Change) -> Change:
    """The push to its base branch that a pull request comes to."""
    return change.with_(
        kind=ChangeKind.PUSH,
        ref=f"refs/heads/{change.base_branch}",
        branch=change.base_branch,
        base_branch="",
        number=0,
        fork=False,
        config_sha="",
    )


def _compared(
    old: PipelineConfig | None, new: PipelineConfig | None, project: ProjectConfig, change: Change
) -> PlanDifference:
    found = compare(_planned(old, project, change), _planned(new, project, change))
    return PlanDifference(differences=found.differences[:MOST])


def _planned(config: PipelineConfig | None, project: ProjectConfig, change: Change) -> Plan | NotTriggered:
    if config is None:
        return NotTriggered(reason="there is no pipeline file")
    try:
        return plan(config, project, change)
    except InvalidConfig as error:
        return NotTriggered(reason=f"the pipeline file is not valid: {error.problems[0]}")


def _triggers(old: Triggers, new: Triggers) -> Iterator[str]:
    for kind in ChangeKind:
        before, after = getattr(old, kind.value), getattr(new, kind.value)
        if before == after:
            continue
        if before is not None:
            yield _line("-", kind, before.model_dump(mode="json", exclude_defaults=True))
        if after is not None:
            yield _line("+", kind, after.model_dump(mode="json", exclude_defaults=True))


def _line(sign: str, kind: ChangeKind, value: object) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return f"{sign} on.{kind.value}: {said if len(said) <= LONGEST else said[:LONGEST] + '…'}"
