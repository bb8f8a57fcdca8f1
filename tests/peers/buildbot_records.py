"""What Buildbot says of its builds, read from its database, so that asking takes nothing from its master."""

from __future__ import annotations

import sqlite3
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

RESULTS = ("success", "warnings", "failure", "skipped", "exception", "retry", "cancelled")


@dataclass(frozen=True)
class Build:
    """``revision``: the commit that was pushed. ``result``: one of `RESULTS`, empty while it runs; ``retry``: it was
    cut off, and another build of the same request follows. ``steps``: the commands
    that have ended well, ``s1`` first."""

    id: int
    request: int
    revision: str
    result: str
    steps: tuple[str, ...]


class Records:
    """``database``: the master's SQLite file; it may be down."""

    def __init__(self, database: Path) -> None:
        self._database = database

    def builds(self) -> list[Build]:
        """All that were ever started, in order; also while the master is down."""
        rows = self._rows(
            "SELECT b.id, b.buildrequestid, b.results, b.complete_at, s.revision FROM builds b"
            " JOIN buildrequests r ON r.id = b.buildrequestid"
            " JOIN buildset_sourcestamps bs ON bs.buildsetid = r.buildsetid"
            " JOIN sourcestamps s ON s.id = bs.sourcestampid ORDER BY b.id"
        )
        ended: dict[int, list[str]] = {}
        for build, name in self._rows(
            "SELECT buildid, name FROM steps WHERE results = 0 AND number > 0 ORDER BY buildid, number"
        ):
            ended.setdefault(build, []).append(name)
        return [
            Build(
                id=id,
                request=request,
                revision=revision,
                result="" if complete_at is None or results is None else RESULTS[results],
                steps=tuple(ended.get(id, ())),
            )
            for id, request, results, complete_at, revision in rows
        ]

    def requests(self) -> dict[int, str]:
        """Each build request: its id, and its result so far (empty: it waits, or a build of it runs)."""
        rows = self._rows("SELECT id, complete, results FROM buildrequests ORDER BY id")
        return {id: RESULTS[results] if complete else "" for id, complete, results in rows}

    def output(self, build: int) -> dict[str, bytes]:
        """What the commands of a build have written: step name to standard output."""
        found: dict[str, bytes] = {}
        for name, content, compressed in self._rows(
            "SELECT s.name, c.content, c.compressed FROM steps s JOIN logs l ON l.stepid = s.id"
            " JOIN logchunks c ON c.logid = l.id WHERE s.buildid = ? AND l.slug = 'stdio'"
            " ORDER BY s.number, c.first_line",
            build,
        ):
            plain = zlib.decompress(content) if compressed == 1 else content
            lines = [
                line[1:] for line in plain.splitlines() if line[:1] == b"o"
            ]  # `h` and `e` are not its output
            found[name] = found.get(name, b"") + b"".join(line + b"\n" for line in lines)
        return found

    def ended(self) -> int:
        """How many builds have ended, however."""
        return int(self._rows("SELECT count(*) FROM builds WHERE complete_at IS NOT NULL")[0][0])

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        connection = sqlite3.connect(f"file:{self._database}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute(statement, values).fetchall()
        finally:
            connection.close()
