"""The run that a person means."""

from __future__ import annotations

import getpass

from turnout.core.errors import NotFound, PermanentError
from turnout.core.run import Run
from turnout.wiring import wiring


def find_run(given: str) -> Run:
    """Raises: NotFound, or PermanentError when several runs begin so."""
    store = wiring().store
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
