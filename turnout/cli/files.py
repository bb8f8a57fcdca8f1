"""`turnout validate` and `turnout plan`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.markup import escape

from turnout.cli.shown import console, print_json
from turnout.core.change import Change
from turnout.core.errors import InvalidConfig, PermanentError, Problem
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered, Plan, Retries


def validate(file: Path, *, project: bool, as_json: bool) -> int:
    """Exit status 0, or 1 with every problem that was found."""
    try:
        _parse_project(file) if project else _parse_pipeline(file, None)
    except InvalidConfig as error:
        return refused(error, as_json=as_json)
    if as_json:
        print_json({"errors": []})
    else:
        console.print(f"[green]✔[/] {escape(str(file))} is valid")
    return 0


def refused(error: InvalidConfig, *, as_json: bool) -> int:
    """Every problem of it; 1."""
    if as_json:
        print_json({"errors": [asdict(problem) for problem in error.problems]})
    else:
        for problem in error.problems:
            console.print(f"[red]✘[/] {escape(str(problem))}")
    return 1


def plan(file: Path, project_file: Path | None, change: dict[str, Any], *, as_json: bool) -> int:
    from turnout.core.config import ProjectConfig
    from turnout.core.planner import plan as planned

    try:
        repository = change["repository"] or _as_run_here(file)
        project = _parse_project(project_file) if project_file else ProjectConfig(repository=repository)
        config = _parse_pipeline(file, project)
    except InvalidConfig as error:
        return refused(error, as_json=as_json)
    found = planned(config, project, _change(project.repository, change))
    if isinstance(found, NotTriggered):
        if as_json:
            print_json({"digest": "", "stages": [], "reason": found.reason})
        else:
            console.print(f"Nothing would run: {escape(found.reason)}")
        return 0
    if as_json:
        print_json(_as_json(found))
    else:
        _print(found)
    return 0


def _as_run_here(file: Path) -> str:
    """What `turnout run` calls the checkout that the file is in, so that both make the same plan."""
    from turnout.cli.run import local_project

    folder = file.resolve().parent
    return local_project(
        next((each for each in (folder, *folder.parents) if (each / ".git").exists()), folder)
    )


def _as_json(found: Plan) -> dict[str, Any]:
    whole = found.to_json()
    return {"digest": whole.pop("digest"), "stages": whole.pop("stages"), **whole}


def _print(found: Plan) -> None:
    console.print(f"digest {found.digest}")
    for stage in found.stages:
        after = f" after {', '.join(stage.needs)}" if stage.needs else ""
        mark = "[dim]–[/]" if stage.skip else "●"
        console.print(f"{mark} [bold]{escape(stage.name)}[/] ({stage.agent}){after}")
        if stage.skip:
            console.print(f"    [dim]skipped: {escape(stage.skip)}[/]")
        if len(stage.tasks) > 1:
            console.print(f"    {escape(', '.join(task.id for task in stage.tasks))}")
        if stage.retries.max:
            console.print(f"    {_retries(stage.retries)}")
        if stage.approval:
            by = ", ".join(stage.approval.by) or "anyone who may"
            console.print(f"    waits for approval by {escape(by)}")
        for note in stage.notes:
            console.print(f"    [dim]note: {escape(note)}[/]")


def _retries(retries: Retries) -> str:
    times = "one retry" if retries.max == 1 else f"up to {retries.max} retries"
    if not retries.backoff:
        return f"{times}, at once"
    longer = f", then {retries.factor:g} times as long each" if retries.max > 1 else ""
    return f"{times}, after {retries.backoff:g} s{longer}"


def _change(repository: str, given: dict[str, Any]) -> Change:
    try:
        kind = ChangeKind(given["event"])
    except ValueError:
        expected = ", ".join(each.value for each in ChangeKind)
        raise PermanentError(f"--event: got {given['event']!r}", f"expected one of {expected}") from None
    tag = given["tag"] or ("v0.0.0" if kind is ChangeKind.TAG else "")
    return Change(
        kind=kind,
        repository=repository,
        clone_url="",
        ref=f"refs/tags/{tag}" if tag else f"refs/heads/{given['branch']}",
        sha="0" * 40,
        branch="" if tag else given["branch"],
        tag=tag,
        base_branch="main",
        paths=tuple(given["paths"]) if given["paths"] else None,
    )


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except OSError as error:
        hint = "give the file's path, or create it"
        raise InvalidConfig(
            [Problem(str(file), 0, 0, "", f"can't be read: {error.strerror}", hint)]
        ) from error
    except UnicodeDecodeError as error:
        raise InvalidConfig([Problem(str(file), 0, 0, "", "is not UTF-8", "save it as UTF-8")]) from error


def _parse_pipeline(file: Path, project: Any) -> Any:
    import os

    from turnout.adapters.config_files import read_pipeline
    from turnout.adapters.settings import read_settings

    named = {
        name: value for name, value in os.environ.items() if name == "TURNOUT_AGENTS"
    }  # no other setting counts
    return read_pipeline(_read(file), str(file), project, read_settings(named).kinds)


def _parse_project(file: Path) -> Any:
    from turnout.adapters.config_files import read_project

    return read_project(_read(file), str(file))
