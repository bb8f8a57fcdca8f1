"""Runs the well-known projects of the table twice each, and writes docs/projects.md.

``python -m local.projects.run [--only NAME …] [--cache FOLDER]``. Exit status 1 when a project could not be run at all;
a project whose own tests fail is a row of the table, with the reason.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.projects.fetch import archive, repository
from local.projects.outcome import Ran, cells, note, page, read
from local.projects.table import PROJECTS, Published
from turnout.core.errors import TurnoutError

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "projects.md"
LONGEST = 1800.0  # seconds of one run

console = Console(highlight=False)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m local.projects.run", description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", metavar="NAME", choices=[each.name for each in PROJECTS])
    parser.add_argument(
        "--cache", type=Path, default=default_cache(), metavar="FOLDER", help="keeps what was fetched"
    )
    given = parser.parse_args(arguments)
    chosen = [each for each in PROJECTS if not given.only or each.name in given.only]
    rows = []
    for project in chosen:
        with console.status(f"{project.name} {project.version}"):
            rows.append((project, *twice(project, given.cache)))
        console.print(
            f"{project.name} {project.version}: {rows[-1][2].outcome}", escape(note(project, rows[-1][2]))
        )
    show(rows)
    if not given.only:
        PAGE.write_text(page(rows), "utf-8")
        console.print(f"[dim]written: {PAGE.relative_to(ROOT)}[/]")
    return 1 if any(ran.problem for _, *both in rows for ran in both) else 0


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "turnout" / "projects"


def twice(project: Published, cache: Path) -> tuple[Ran, Ran]:
    """A run with nothing cached, and one more."""
    folder = Path(tempfile.mkdtemp(prefix="turnout-project-"))
    try:
        root = repository(project, archive(project, cache), folder / "repository")
        return once(root, folder / "home"), once(root, folder / "home")
    except TurnoutError as error:
        failed = Ran("error", 0.0, problem=str(error))
        return failed, failed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def once(root: Path, home: Path) -> Ran:
    """``turnout run`` on a repository, with its state under ``home``."""
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "turnout", "run", str(root), "--json"],
        cwd=ROOT,
        env=os.environ | {"TURNOUT_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=LONGEST)
    except subprocess.TimeoutExpired:
        return Ran("timed_out", LONGEST, problem=f"took longer than {LONGEST:g} s")
    finally:
        _end(process)
    found = read(output.splitlines(), time.monotonic() - began)
    if not found.results:
        said = (errors.strip().splitlines() or ["it said nothing"])[-1]
        return Ran(
            "error", found.seconds, problem=f"turnout run ended with status {process.returncode}: {said}"
        )
    return found


def _end(process: subprocess.Popen[str]) -> None:
    """As Ctrl-C would: it takes down the stack that it has started."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()


def show(rows: Sequence[tuple[Published, Ran, Ran]]) -> None:
    table = Table("project", "runner", "passed", "failed", "skipped", "lint", "outcome", "first", "second")
    for each in rows:
        table.add_row(*cells(*each))
    console.print(table)


if __name__ == "__main__":
    sys.exit(main())
