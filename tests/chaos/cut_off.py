"""A cut that says nothing: no reset, no end, as when a cable is pulled.

``unshare --net python -m tests.chaos.cut_off``: it takes the loopback down, so it needs a network namespace of its own.
Prints, as JSON, after how many seconds the store has given up a connection that had something to say (``speaks``), and
one that waited for an answer (``waits``).
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time

from sqlalchemy import text

from local.postgres.server import Postgres
from tests.waiting import wait_until
from turnout.adapters.store.database import Database
from turnout.core.errors import TransientError

PATIENCE = 60
SLEEPERS = "SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'"


def main() -> int:
    _loopback("up")
    with Postgres() as server:
        speaks, waits = Database(server.url), Database(server.url)
        asked = threading.Thread(target=_ask, args=(waits, f"SELECT pg_sleep({PATIENCE})"), daemon=True)
        asked.start()
        wait_until(lambda: _ask(speaks, SLEEPERS) == 1, 20, "it waits for its answer")
        began = time.monotonic()
        _loopback("down")
        found = {"speaks": began, "waits": began}
        _ask(speaks, "SELECT 1")
        found["speaks"] = time.monotonic() - began
        asked.join()
        found["waits"] = time.monotonic() - began
        print(json.dumps(found))
        _loopback("up")  # or the server could not be told to stop
    return 0


def _ask(database: Database, statement: str) -> object:
    """The answer, or None when the connection was given up."""
    try:
        with database.read() as connection:
            return connection.execute(text(statement)).scalar()
    except TransientError:
        return None


def _loopback(state: str) -> None:
    subprocess.run(["ip", "link", "set", "lo", state], check=True)


if __name__ == "__main__":
    sys.exit(main())
