"""What tries pipeline files on recorded changes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnout.core.simulation import Simulation
    from turnout.simulating import Simulating
    from turnout.wiring import Wiring


def replay(wiring: Wiring, project: str, old: str | None, new: str, file: str, stranger: bool) -> Simulation:
    """For a check: nothing is asked of the repository, and no pattern of a stranger's is compared with files."""
    from turnout.adapters.config_files import read_pipeline
    from turnout.adapters.store.recorded import SqlRecordedChanges
    from turnout.core.ports.recorded import Unknown
    from turnout.proposing import REPLAYED, SECONDS
    from turnout.simulating import Simulating

    known = SqlRecordedChanges(wiring.store.database)
    changes = Unknown(known) if stranger else known
    parse = partial(read_pipeline, agents=wiring.settings.kinds)
    tried = Simulating(changes, wiring.projects, parse, wiring.clock, seconds=SECONDS)
    return tried(project, old, new, last=REPLAYED, file=file)


def simulating(wiring: Wiring) -> Simulating:
    from turnout.adapters.store.recorded import SqlRecordedChanges
    from turnout.simulating import Simulating

    planner = wiring.planner
    return Simulating(
        SqlRecordedChanges(wiring.store.database),
        planner.projects,
        planner.parse,
        wiring.clock,
        planner.source,
    )
