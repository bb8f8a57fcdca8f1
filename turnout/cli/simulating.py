"""`turnout simulate`: a pipeline file tried on what has happened."""

from __future__ import annotations

import re
from pathlib import Path

from rich.markup import escape

from turnout.adapters.git_command import GitFailed
from turnout.cli.files import refused
from turnout.cli.reaching import reach
from turnout.cli.shown import console, print_json
from turnout.core.errors import InvalidConfig, PermanentError
from turnout.core.simulation import Simulated, Simulation
from turnout.wiring import prepare, wiring

SHOWN = 20
_NAME = re.compile(r"([A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+?)(?:\.git)?/?")


def simulate(file: Path, project: str, against: str, last: int, *, as_json: bool) -> int:
    """Exit status: 0 nothing would be different, 1 something would, 2 the new file is not valid."""
    prepare(wiring().settings)
    try:
        new = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise PermanentError(f"{file} can't be read: {error}", "give the path of a pipeline file") from error
    named = project or _project_of(file)
    try:
        found = reach().simulate(named, _old(file, against), new, last=last, file=str(file))
    except InvalidConfig as error:
        refused(error, as_json=as_json)
        return 2
    if as_json:
        told = {"summary": found.summary(), "differs": found.differs, "notes": list(found.notes())}
        totals = [each.to_json() | {"sentence": each.difference.sentence} for each in found.totals]
        print_json(told | {"totals": totals} | found.to_json())
    else:
        _print(found, given=bool(project))
    return 1 if found.differs else 0


def _old(file: Path, against: str) -> str | None:
    """A file's text, or that of the same file at a revision; None: there it is not."""
    other = Path(against)
    if other.is_file():
        return other.read_text(encoding="utf-8")
    folder = file.absolute().parent
    commit = _git(folder, "rev-parse", "--verify", "--quiet", f"{against}^{{commit}}")
    if not commit:
        raise PermanentError(
            f"{against} is neither a file nor a revision of the repository of {file}",
            "name the file as it was: `--against FILE`, or a commit or branch",
        )
    return _git(folder, "show", f"{commit.strip()}:./{file.name}")


def _project_of(file: Path) -> str:
    """The project of the checkout that the file is in: as its origin is called, or as `turnout run` names it."""
    folder = file.absolute().parent
    origin = _git(folder, "remote", "get-url", "origin") or ""
    told = (
        re.split(r"[:/]", origin.strip(), maxsplit=1)[-1]
        if origin.startswith(("git@", "ssh:", "http"))
        else ""
    )
    found = _NAME.fullmatch("/".join(told.split("/")[-2:]))
    if found:
        return found[1]
    root = (_git(folder, "rev-parse", "--show-toplevel") or str(folder)).strip()
    from turnout.cli.run import local_project

    return local_project(Path(root))


def _git(folder: Path, *args: str) -> str | None:
    git = wiring().mirrors.git
    git.prepare()
    try:
        return git.run(list(args), at=folder).decode("utf-8", "replace")
    except GitFailed:
        return None


def _print(found: Simulation, *, given: bool) -> None:
    console.print(escape(found.summary()))
    if not found.changes and not given:
        console.print("[dim]Name the project whose changes count: --project OWNER/NAME[/]")
    for total in found.totals:
        mark = "[red]![/]" if total.difference.weakens else "[yellow]~[/]"
        count = f"{total.changes} change" + ("s" if total.changes > 1 else "")
        console.print(f"{mark} {escape(total.difference.sentence)}  [dim]{count}[/]")
    for each in found.differing[:SHOWN]:
        _change(each)
    more = len(found.differing) - SHOWN
    if more > 0:
        console.print(f"[dim]… and {more} more; --json has them all[/]")
    for note in found.notes():
        console.print(f"[dim]{escape(note)}[/]")


def _change(each: Simulated) -> None:
    became = f"run {each.run[:12]}" if each.run else "no run"
    unknown = "" if each.known else "  [dim]its files are not known[/]"
    console.print(
        f"\n[bold]{each.kind.value}[/] {escape(each.ref)} {each.sha[:8]} {escape(each.title[:50])}"
        f"  [dim]{each.at:%Y-%m-%d %H:%M} {became}[/]{unknown}"
    )
    for difference in each.difference.differences:
        mark = "[red]![/]" if difference.weakens else " "
        console.print(f"  {mark} {escape(difference.sentence)}")
