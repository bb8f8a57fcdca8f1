"""A store with a long history: one run that the system really made, copied until there are so many events.

Every table that a run writes to is copied in the shape it was left in: the run, its events, attempts, inbox, records,
delivery and reports. Ids are replaced by others of the same kind, so that they fall all over the indexes as real ones
do.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from turnout.core.ids import derive

BATCH = 2_000  # runs copied in one transaction
TABLES = ("runs", "events", "attempts", "inbox", "outbox", "deliveries", "reports")
_RUN = {"runs": "id", "events": "run", "attempts": "run", "reports": "run", "inbox": "run"}


@dataclass(frozen=True)
class Original:
    """``ids``: every id that belongs to the run alone. ``rows``: table to its rows, column to value; ``named``:
    likewise, column to the ids that are in the value."""

    ids: tuple[str, ...]
    rows: dict[str, list[dict[str, Any]]]
    named: dict[str, list[dict[str, tuple[str, ...]]]]


def fill(database: Path, events: int) -> int:
    """Copy the newest run of a SQLite store, whose stack is stopped, until it holds ``events``; how many it holds.

    Raises: ValueError when there is no run to copy.
    """
    connection = sqlite3.connect(database, isolation_level=None)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -400000")
        connection.execute("PRAGMA foreign_keys = OFF")
        original = read(connection, _newest(connection))
        held = int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
        missing = max(0, events - held)
        copies = -(-missing // len(original.rows["events"]))
        numbers = iter(range(copies))
        heads = _heads(connection)
        while batch := list(islice(numbers, BATCH)):
            connection.execute("BEGIN")
            _copy(connection, original, batch, heads)
            connection.execute("COMMIT")
        _settle(connection, heads, copies, original)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])
    finally:
        connection.close()


def _newest(connection: sqlite3.Connection) -> str:
    newest = connection.execute(
        "SELECT id FROM runs WHERE finished_at IS NOT NULL ORDER BY seq DESC LIMIT 1"
    ).fetchone()
    if newest is None:
        raise ValueError("the store holds no run that has ended: let it make one first")
    return str(newest[0])


def read(connection: sqlite3.Connection, run: str) -> Original:
    """Everything that the store holds of the run."""
    connection.row_factory = sqlite3.Row
    rows: dict[str, list[dict[str, Any]]] = {}
    for table, column in _RUN.items():
        rows[table] = _rows(connection, f"SELECT * FROM {table} WHERE {column} = ?", run)
    rows["outbox"] = _rows(
        connection, "SELECT * FROM outbox WHERE run = ? OR instr(value, ?) > 0", run, run.encode()
    )
    triggers = [row["message"] for row in rows["inbox"]]
    marks = ", ".join("?" * len(triggers))
    rows["deliveries"] = _rows(connection, f"SELECT * FROM deliveries WHERE message IN ({marks})", *triggers)
    wanted = {row["trigger_row"] for row in rows["deliveries"]} - {row["id"] for row in rows["outbox"]}
    for each in sorted(wanted - {None}):
        rows["outbox"] += _rows(connection, "SELECT * FROM outbox WHERE id = ?", each)
    connection.row_factory = None
    own = {run, *triggers}
    own |= {row["id"] for row in rows["attempts"]}
    own |= {row["id"] for row in rows["deliveries"]}
    ids = tuple(sorted(own))
    return Original(ids, rows, {table: [_named(row, ids) for row in found] for table, found in rows.items()})


def _rows(connection: sqlite3.Connection, statement: str, *values: object) -> list[dict[str, Any]]:
    return [dict(row) for row in connection.execute(statement, values)]


def _heads(connection: sqlite3.Connection) -> dict[tuple[str, int], int]:
    return {
        (topic, number): offset
        for topic, number, offset in connection.execute(
            "SELECT topic, partition_no, next_offset FROM log_heads"
        )
    }


def _copy(
    connection: sqlite3.Connection,
    original: Original,
    numbers: Sequence[int],
    heads: dict[tuple[str, int], int],
) -> None:
    made: dict[str, list[dict[str, Any]]] = {table: [] for table in TABLES}
    project = original.rows["runs"][0]["project"]
    base = int(connection.execute("SELECT runs FROM projects WHERE name = ?", (project,)).fetchone()[0])
    for number in numbers:
        new = {old: derive("history", base, number, old) for old in original.ids}
        for table, rows in original.rows.items():
            for row, named in zip(rows, original.named[table], strict=True):
                copied = row | {column: renamed(row[column], ids, new) for column, ids in named.items()}
                match table:
                    case "runs":
                        del copied["seq"]
                        copied["number"] = base + 1 + number
                    case "deliveries":
                        del copied["seq"]
                    case "outbox":
                        del copied["id"]
                        place = (copied["topic"], copied["partition_no"])
                        copied["offset_no"] = heads[place]
                        heads[place] += 1
                    case _:
                        pass
                made[table].append(copied)
    for table, copies in made.items():
        if copies:
            names = list(copies[0])
            places = ", ".join(f":{name}" for name in names)
            connection.executemany(f"INSERT INTO {table} ({', '.join(names)}) VALUES ({places})", copies)


def _named(row: dict[str, Any], ids: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Which ids are in which columns."""
    found: dict[str, tuple[str, ...]] = {}
    for column, value in row.items():
        text = value.decode(errors="replace") if isinstance(value, bytes) else str(value)
        if held := tuple(id for id in ids if id in text):
            found[column] = held
    return found


def renamed(value: Any, ids: Sequence[str], new: Mapping[str, str]) -> Any:
    for old in ids:
        value = (
            value.replace(old.encode(), new[old].encode())
            if isinstance(value, bytes)
            else value.replace(old, new[old])
        )
    return value


def _settle(
    connection: sqlite3.Connection, heads: dict[tuple[str, int], int], copies: int, original: Original
) -> None:
    """What was copied has been read by everybody: the log's ends, and each group's place, are at its end."""
    connection.execute("BEGIN")
    for (topic, number), offset in heads.items():
        place = (offset, topic, number)
        connection.execute("UPDATE log_heads SET next_offset = ? WHERE topic = ? AND partition_no = ?", place)
        connection.execute(
            "UPDATE log_positions SET committed = ? WHERE topic = ? AND partition_no = ?", place
        )
    project = original.rows["runs"][0]["project"]
    connection.execute("UPDATE projects SET runs = runs + ? WHERE name = ?", (copies, project))
    connection.execute("COMMIT")
