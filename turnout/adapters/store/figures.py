"""Figures in the store's database: a run is counted once, in one transaction with what it adds."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime
from itertools import groupby

from pydantic import BaseModel, Field, ValidationError

from turnout.adapters.store import folded
from turnout.adapters.store.database import Database
from turnout.adapters.store.instants import instant, instant_or_none, micros, micros_or_none
from turnout.adapters.store.link import Link, Statement, listed, scalar
from turnout.adapters.store.projection import storable
from turnout.core.errors import Newer
from turnout.core.model import Outcome
from turnout.core.ports.figures import Open, Standing, Turn
from turnout.core.run import Run
from turnout.core.tally import Deploy, Facts, StageEnd, Tally

EVER = ""
"""The day that stands for all of them."""

_UNCOUNTED = Statement(
    "SELECT id, state FROM runs WHERE finished_at IS NOT NULL AND counted_at IS NULL ORDER BY seq LIMIT :limit"
)
_COUNT = Statement(
    "UPDATE runs SET counted_at = :at WHERE id = :run AND finished_at IS NOT NULL AND counted_at IS NULL"
)
_BEGIN = Statement(
    "INSERT INTO tallies (project, day, body) VALUES (:project, :day, '{}') ON CONFLICT DO NOTHING"
)
_TAKE = Statement("UPDATE tallies SET body = body WHERE project = :project AND day = :day RETURNING body")
_KEEP = Statement("UPDATE tallies SET body = :body WHERE project = :project AND day = :day")
_DEPLOYED = Statement(
    "INSERT INTO deploys (project, at, run, stage, environment, began_at, good, restored_at)"
    " VALUES (:project, :at, :run, :stage, :environment, :began_at, :good, :restored_at) ON CONFLICT DO NOTHING"
)
_DAYS = Statement("SELECT day, body FROM tallies WHERE project = :project AND day >= :since ORDER BY day")
_PROJECTS = Statement("SELECT name, runs FROM projects ORDER BY name")
_TOTALS = Statement(
    "SELECT projects.name, tallies.body FROM projects"
    " JOIN tallies ON tallies.project = projects.name AND tallies.day = '' ORDER BY projects.name"
)
_DEPLOYS = Statement(
    "SELECT at, run, stage, environment, began_at, good, restored_at FROM deploys"
    " WHERE project = :project AND at >= :since ORDER BY at DESC, run DESC, stage DESC LIMIT :limit"
)
_ENDED = Statement("SELECT id, state FROM runs WHERE finished_at IS NOT NULL AND id IN :runs")
_RUNS = Statement(
    "SELECT status, count(*), min(created_at) FROM runs WHERE finished_at IS NULL GROUP BY status"
)
_ATTEMPTS = Statement(
    "SELECT agent, count(*), min(launched_at) FROM attempts WHERE finished_at IS NULL GROUP BY agent"
)
_OVERDUE = Statement(
    "SELECT count(*) FROM attempts WHERE finished_at IS NULL AND coalesce(lease_until, launch_deadline) < :now"
)
_UNPUBLISHED = Statement(
    "SELECT count(*), (SELECT created_at FROM outbox WHERE published_at IS NULL ORDER BY id LIMIT 1) FROM outbox"
    " WHERE published_at IS NULL"
)
_LEFT = Statement("SELECT count(*) FROM runs WHERE finished_at IS NOT NULL AND counted_at IS NULL")
_HELD = Statement("SELECT project, environment, at FROM environments")
_WAITING = Statement(
    "SELECT project, environment, count(*) FROM environment_queue GROUP BY project, environment"
)


class _EndedStage(BaseModel):
    outcome: Outcome | None = None
    allowed: bool = False


class _Ended(BaseModel):
    """What lists show of a run's state; the rest of it is not made into values, which takes most of the time."""

    stages: dict[str, _EndedStage] = Field(default_factory=dict)


class SqlFigures:
    """Raises TransientError when the database is away, locked or full."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def uncounted(self, limit: int = 100) -> Sequence[Run]:
        with self._database.look() as link:
            rows = link.send(_UNCOUNTED, {"limit": limit}).rows
            return [run for each in rows if (run := _ended(link, *each)) is not None]

    def count(self, facts: Sequence[Facts], at: datetime) -> int:
        if not facts:
            return 0
        with self._database.change() as link:
            ordered = sorted(facts, key=lambda each: each.run)  # locks are taken in one order by all
            answers = [link.send(_COUNT, {"run": each.run, "at": micros(at)}) for each in ordered]
            mine = [each for each, answer in zip(ordered, answers, strict=True) if answer.count]
            _add(link, mine)
            link.send_many(_DEPLOYED, [_row(deploy) for each in mine for deploy in each.deploys])
            return len(mine)

    def days(self, project: str, since: date) -> Mapping[date, Tally]:
        with self._database.look() as link:
            asked = {"project": storable(project), "since": since.isoformat()}
            rows = link.send(_DAYS, asked).rows
        return {
            date.fromisoformat(day): Tally.model_validate_json(body, extra="ignore") for day, body in rows
        }

    def projects(self) -> Mapping[str, int]:
        with self._database.look() as link:
            return {name: int(runs) for name, runs in link.send(_PROJECTS, {}).rows}

    def totals(self) -> Mapping[str, Tally]:
        with self._database.look() as link:
            rows = link.send(_TOTALS, {}).rows
        return {project: Tally.model_validate_json(body, extra="ignore") for project, body in rows}

    def deploys(self, project: str, since: datetime, limit: int = 1000) -> Sequence[Deploy]:
        name = storable(project)
        with self._database.look() as link:
            rows = link.send(_DEPLOYS, {"project": name, "since": micros(since), "limit": limit}).rows
        return [
            Deploy(
                project=name,
                environment=environment,
                run=run,
                stage=stage,
                began_at=instant(began),
                at=instant(at),
                good=bool(good),
                restored_at=instant_or_none(restored),
            )
            for at, run, stage, environment, began, good, restored in rows
        ]

    def stages(self, runs: Collection[str]) -> Mapping[str, Mapping[str, StageEnd]]:
        if not runs:
            return {}
        with self._database.look() as link:
            rows = link.send(_ENDED, {"runs": listed(link, list(runs))}).rows
        return {
            run: {
                name: StageEnd(each.outcome, each.allowed)
                for name, each in _Ended.model_validate_json(state).stages.items()
            }
            for run, state in rows
        }

    def standing(self, now: datetime) -> Standing:
        with self._database.look() as link:
            held = {(project, name): instant(at) for project, name, at in link.send(_HELD, {}).rows}
            waiting = {(project, name): number for project, name, number in link.send(_WAITING, {}).rows}
            ((number, oldest),) = link.send(_UNPUBLISHED, {}).rows
            return Standing(
                runs=_open(link, _RUNS),
                attempts=_open(link, _ATTEMPTS),
                overdue=int(scalar(link, _OVERDUE, now=micros(now))),
                unpublished=Open(number, instant_or_none(oldest)),
                uncounted=int(scalar(link, _LEFT)),
                turns=tuple(
                    Turn(*key, held.get(key), waiting.get(key, 0)) for key in sorted({*held, *waiting})
                ),
            )


def _add(link: Link, facts: Sequence[Facts]) -> None:
    """Add to the days and to the projects, whose rows are locked until the end."""

    def place(each: Facts) -> tuple[str, str]:
        return storable(each.project), each.day.isoformat()

    def project(each: Facts) -> tuple[str, str]:
        return storable(each.project), EVER

    for key in (project, place):
        for (name, day), group in groupby(sorted(facts, key=key), key):
            asked = {"project": name, "day": day}
            link.send(_BEGIN, asked)
            tally = _taken(scalar(link, _TAKE, **asked))
            for each in group:
                tally = tally.plus(each.tally if day else each.tally.lasting())
            link.send(_KEEP, {**asked, "body": tally.model_dump_json(exclude_defaults=True)})


def _ended(link: Link, run: str, state: str) -> Run | None:
    """None: only a newer version of us can count it."""
    try:
        return folded.read(link, run, state)
    except Newer:
        return None


def _taken(body: str) -> Tally:
    """To be added to and kept, so it must be known whole. Raises: Newer: a newer version will count the runs."""
    try:
        return Tally.model_validate_json(body)
    except ValidationError as error:
        if any(each["type"] == "extra_forbidden" for each in error.errors(include_url=False)):
            raise Newer("a newer Turnout counts what this one does not know", "finish the update") from error
        raise


def _row(deploy: Deploy) -> dict[str, object]:
    return {
        "project": storable(deploy.project),
        "at": micros(deploy.at),
        "run": deploy.run,
        "stage": storable(deploy.stage),
        "environment": storable(deploy.environment),
        "began_at": micros(deploy.began_at),
        "good": int(deploy.good),
        "restored_at": micros_or_none(deploy.restored_at),
    }


def _open(link: Link, statement: Statement) -> dict[str, Open]:
    return {name: Open(number, instant(oldest)) for name, number, oldest in link.send(statement, {}).rows}
