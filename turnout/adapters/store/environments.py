"""Who deploys to an environment, and who waits for it: rows that come and go with the state of their run; and who has
deployed there last."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from turnout.adapters.store.instants import instant, micros
from turnout.adapters.store.link import Answer, Link, Statement, listed
from turnout.adapters.store.projection import storable
from turnout.core.environments import Turns
from turnout.core.ports import EnvironmentRow
from turnout.core.run import Run

_TAKE = Statement(
    "INSERT INTO environments (project, environment, run, at) VALUES (:project, :environment, :run, :at)"
    " ON CONFLICT DO NOTHING"
)
_GIVE = Statement(
    "DELETE FROM environments WHERE project = :project AND environment = :environment AND run = :run"
)
_QUEUE = Statement(
    "INSERT INTO environment_queue (project, environment, run, created_at)"
    " VALUES (:project, :environment, :run, :at) ON CONFLICT DO NOTHING"
)
_UNQUEUE = Statement(
    "DELETE FROM environment_queue WHERE project = :project AND environment = :environment AND run = :run"
)
_HOLDERS = Statement(
    "SELECT environment, run FROM environments WHERE project = :project AND environment IN :names"
)
_DEPLOYED = Statement(
    "SELECT environment, run FROM deployed WHERE project = :project AND environment IN :names"
)
_NOW_THERE = Statement(
    "INSERT INTO deployed (project, environment, run) VALUES (:project, :environment, :run)"
    " ON CONFLICT (project, environment) DO UPDATE SET run = excluded.run"
)
_WAITING = Statement(
    "SELECT environment, run, created_at FROM environment_queue WHERE project = :project AND environment IN :names"
)


def change(link: Link, run: Run, turns: Turns, at: int) -> list[Answer]:
    """One answer for each environment that is taken: no row changed means that another run has it."""
    place = {"project": storable(run.project), "run": run.id}
    for name in turns.given:
        link.send(_GIVE, place | {"environment": storable(name)})
    for name in turns.unqueued:
        link.send(_UNQUEUE, place | {"environment": storable(name)})
    for name in turns.queued:
        link.send(_QUEUE, place | {"environment": storable(name), "at": micros(run.created_at)})
    for name in turns.deployed:
        link.send(_NOW_THERE, place | {"environment": storable(name)})
    return [link.send(_TAKE, place | {"environment": storable(name), "at": at}) for name in turns.taken]


def deployed(link: Link, project: str, names: Collection[str]) -> Answer:
    """Environments and the runs whose deploys are there."""
    asked = {"project": storable(project), "names": listed(link, sorted(map(storable, names)))}
    return link.send(_DEPLOYED, asked)


def find(link: Link, project: str, names: Collection[str]) -> dict[str, EnvironmentRow]:
    asked = {"project": storable(project), "names": listed(link, sorted(map(storable, names)))}
    holders = dict(link.send(_HOLDERS, asked).rows)
    there = dict(deployed(link, project, names).rows)
    waiting: dict[str, list[tuple[str, datetime]]] = {}
    for name, run, created_at in sorted(link.send(_WAITING, asked).rows, key=lambda row: (row[2], row[1])):
        waiting.setdefault(name, []).append((run, instant(created_at)))
    return {
        name: EnvironmentRow(
            holders.get(storable(name), ""),
            tuple(waiting.get(storable(name), ())),
            there.get(storable(name), ""),
        )
        for name in names
        if storable(name) in {*holders, *waiting, *there}
    }
