"""Who asks, and the store of this home for what is about this machine alone."""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING

from turnout.wiring import prepare, wiring

if TYPE_CHECKING:
    from turnout.adapters.store.sql_store import SqlStore


def open_store() -> SqlStore:
    """The store; where nothing has run yet on this machine, a new and empty one."""
    settings = wiring().settings
    if not settings.database_url and not (settings.home / "turnout.db").exists():
        prepare(settings)
    return wiring().store


def person(given: str) -> str:
    """Who acts: as given, or the user of this machine."""
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
