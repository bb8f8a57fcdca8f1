"""Looking for a secret wherever it could have got to, in whatever form."""

from __future__ import annotations

import base64
import html
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, quote_plus


def traces(secret: str) -> dict[str, bytes]:
    """What would give it away, by name. Made apart from `agents.sdk.masking`, so that both would have to be wrong."""
    raw = secret.encode()
    found = {
        "as it is": secret,
        "backwards": secret[::-1],
        "hexadecimal": raw.hex(),
        "HEXADECIMAL": raw.hex().upper(),
        "spaced hexadecimal": raw.hex(" "),
        "in base32": base64.b32encode(raw).decode().rstrip("="),
        "in a URL": quote(secret, safe=""),
        "in a form": quote_plus(secret),
        "in JSON": json.dumps(secret)[1:-1],
        "in XML": secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;"),
        "in HTML": html.escape(secret),
        "as Python has it": repr(secret)[1:-1],
    }
    # in base64 the neighbours decide the first and the last character, and where it begins decides all
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw)
        found[f"in base64, {before}"] = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6].decode()
        found[f"in base64url, {before}"] = found[f"in base64, {before}"].replace("+", "-").replace("/", "_")
    return {name: text.encode() for name, text in found.items()}


@dataclass(frozen=True)
class Left:
    """What is left of a run: where, and what."""

    pieces: list[tuple[str, bytes]] = field(default_factory=list)

    def add(self, where: str, content: bytes) -> None:
        self.pieces.append((where, content))

    def add_files(self, folder: Path, *, but: Iterable[Path] = ()) -> None:
        """Every file below, whatever it is; links are not followed."""
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path not in set(but):
                self.add(str(path), path.read_bytes())

    def add_tables(self, database: Path) -> list[str]:
        """Every value of every row; the names of the tables."""
        connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
        try:
            listed = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            tables = [str(name) for (name,) in listed]
            for table in tables:
                for row in connection.execute(f'SELECT * FROM "{table}"'):
                    cells = (each if isinstance(each, bytes) else str(each).encode() for each in row)
                    self.add(f"table {table}", b"\0".join(cells))
            return tables
        finally:
            connection.close()

    def found(self, secrets: Mapping[str, str]) -> list[str]:
        """``secrets``: name to value. What was found of which, and where."""
        known = [
            (name, form, trace) for name, value in secrets.items() for form, trace in traces(value).items()
        ]
        return [
            f"{name} {form} in {where}, after {content[max(0, content.index(trace) - 40) : content.index(trace)]!r}"
            for where, content in self.pieces
            for name, form, trace in known
            if trace in content
        ]


@contextmanager
def watching_processes(note: Callable[[str, str, bytes], None]) -> Iterator[None]:
    """Until the end, tell of every process outside the sandboxes: ``cmdline`` or ``environ``, its id, what it says."""
    own = os.readlink("/proc/self/ns/pid")
    stopped = threading.Event()

    def watch() -> None:
        seen: set[tuple[str, str, bytes]] = set()
        while not stopped.is_set():
            for pid in filter(str.isdecimal, os.listdir("/proc")):
                try:
                    if os.readlink(f"/proc/{pid}/ns/pid") != own:
                        continue  # a tool, or what it started
                    for what in ("cmdline", "environ"):
                        content = Path("/proc", pid, what).read_bytes()
                        if (what, pid, content) not in seen:
                            seen.add((what, pid, content))
                            note(what, pid, content)
                except OSError:
                    continue  # it has ended
            time.sleep(0.005)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield
    finally:
        stopped.set()
        watcher.join()
