"""What tries pipeline files on recorded changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnout.simulating import Simulating
    from turnout.wiring import Wiring


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
