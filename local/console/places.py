"""The console's pages, each at its most telling, in a home that `local.console.seed` has filled."""

from __future__ import annotations

from turnout.core.model import Outcome
from turnout.core.ports import RunRow, Store
from turnout.core.run import StageStatus

PROJECT = "acme/shop"


def places(store: Store) -> dict[str, str]:
    """Name to path. Raises: StopIteration where the home has not been filled."""
    rows = store.runs(limit=200)
    failed = next(row for row in rows if _failed_tests(store, row))
    run = f"/runs/{failed.id}"
    stage = _failed_tests(store, failed)
    waiting = next(row for row in rows if _waits(store, row))
    broken = next(row for row in rows if not store.load(row.id).plan)  # type: ignore[union-attr]
    return {
        "runs": "/runs",
        "runs-filtered": f"/runs?project={PROJECT}&state=failure",
        "run-failed": run,
        "run-as-it-was": f"{run}?at={failed.version // 2}",
        "run-waiting": f"/runs/{waiting.id}",
        "run-broken-file": f"/runs/{broken.id}",
        "why": f"{run}/why",
        "log": f"{run}/log?task={stage}&attempt=1",
        "project": f"/projects/{PROJECT}",
        "projects": "/projects",
        "agents": "/agents",
        "deliveries": "/deliveries",
        "ledger": "/ledger",
        "tokens": "/settings/tokens",
        "audit-log": "/settings/audit-log",
        "sign-in": "/sign-in",
        "nothing-there": "/runs/there-is-none",
    }


def _failed_tests(store: Store, row: RunRow) -> str:
    """The task that has failed tests, of a run that failed because of them; empty: of none."""
    if row.outcome != Outcome.FAILURE or row.project != PROJECT:
        return ""
    run = store.load(row.id)
    assert run is not None
    for _, task in run.tasks():
        last = task.attempts[0].result if task.attempts else None
        if last is not None and last.tests is not None and last.tests.failed:
            return task.id
    return ""


def _waits(store: Store, row: RunRow) -> bool:
    run = store.load(row.id)
    return run is not None and any(each.status is StageStatus.WAITING for each in run.stages.values())
