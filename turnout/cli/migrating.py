"""`turnout migrate`: the job that changes the database's tables."""

from __future__ import annotations

import sys
import time

from turnout.adapters.store.database import Database
from turnout.adapters.store.schema import HEAD
from turnout.adapters.store.schema import migrate as bring
from turnout.cli.shown import console
from turnout.core.errors import TransientError
from turnout.wiring import wiring

PAUSE = 1.0
"""Seconds between two tries of a database that is away."""


def migrate(wait: float) -> int:
    """``wait``: seconds for a database that is away.

    Raises: TransientError: it still is; PermanentError: its tables are of a newer version, or a role is missing.
    """
    settings = wiring().settings
    database = Database(settings.store_url, password=settings.sign_in())
    until = time.monotonic() + wait
    said = ""
    while True:
        try:
            done = bring(database, settings.roles)
            break
        except TransientError as error:
            if time.monotonic() >= until:
                raise
            if str(error) != said:
                said = str(error)
                sys.stderr.write(f"turnout: waiting: {said}\n")
            time.sleep(PAUSE)
    database.close()
    for each in done:
        console.print(f"  {each}", markup=False)
    what = f"changed to {HEAD}" if done else f"at {HEAD} already"
    opened = f", open to {', '.join(settings.roles)}" if settings.roles else ""
    console.print(f"{database.name}: the tables are {what}{opened}", markup=False)
    return 0
