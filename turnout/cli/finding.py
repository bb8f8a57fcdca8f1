"""The store of this home, and the run in it that a person means."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from turnout.core.errors import NotFound, PermanentError
from turnout.core.run import Run
from turnout.wiring import prepare, wiring

if TYPE_CHECKING:
    from turnout.adapters.store.sql_store import SqlStore


def open_store() -> SqlStore:
    """The store; where nothing has run yet on this machine, a new and empty one."""
    settings = wiring().settings
    if not settings.database_url and not (settings.home / "turnout.db").exists():
        prepare(settings)
    return wiring().store


def find_run(given: str) -> Run:
    """Raises: NotFound, or PermanentError when several runs begin so."""
    store = open_store()
    found = store.find_runs(given)
    if not found:
        raise NotFound(f"no run {given!r}", "`turnout runs` lists them")
    if len(found) > 1:
        some = ", ".join(row.id[:12] for row in found[:4])
        raise PermanentError(f"several runs begin with {given!r}: {some}", "give more of the id")
    run = store.load(found[0].id)
    if run is None:
        raise NotFound(f"no run {given!r}", "`turnout runs` lists them")
    return run


def person(given: str) -> str:
    """Who acts: as given, or the user of this machine."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
