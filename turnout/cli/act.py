"""Cancel, rerun, approve, reject."""

from __future__ import annotations

from turnout.cli.finding import person
from turnout.cli.reaching import reach
from turnout.cli.shown import console, print_json
from turnout.core.errors import PermanentError
from turnout.core.run import Run
from turnout.reach import Reach, Verb
from turnout.stack.lock import held
from turnout.wiring import wiring


def cancel(given: str, by: str, reason: str, *, as_json: bool) -> int:
    system = reach()
    run = system.sight.run(given)
    system.cancel(run, _who(by, system), reason)
    return _said(system, run, "cancel", "asked to stop", as_json)


def rerun(given: str, by: str, *, failed: bool, stage: str, as_json: bool) -> int:
    if failed and stage:
        raise PermanentError("--failed and --stage exclude each other", "give one of them")
    system = reach()
    run = system.sight.run(given)
    new = system.rerun(run, _who(by, system), failed=failed, stage=stage)
    if as_json:
        print_json({"run": new, "rerun_of": run.id})
    else:
        console.print(f"run {new[:12]} is to run {run.id[:12]} again; `turnout show {new[:12]}`")
        _say_who_will(system)
    return 0


def decide_on(verb: Verb, given: str, stage: str, by: str, comment: str, *, as_json: bool) -> int:
    system = reach()
    run = system.sight.run(given)
    system.decide(verb, run, stage, _who(by, system), comment)
    return _said(system, run, verb, f"{stage}: {verb} recorded", as_json)


def _who(by: str, system: Reach) -> str:
    """Raises: PermanentError where somebody says who asks, and the console knows that better."""
    if by and system.at:
        raise PermanentError(f"{system.at} knows who you are", "leave --by out")
    return person(by)


def _say_who_will(system: Reach) -> None:
    settings = wiring().settings
    if not system.at and settings.embedded and not held(settings.home):
        console.print("[yellow]No stack of this home is up: it waits in the log until `turnout up`.[/]")


def _said(system: Reach, run: Run, verb: str, text: str, as_json: bool) -> int:
    if as_json:
        print_json({"run": run.id, "asked": verb})
    else:
        console.print(f"run {run.id[:12]}: {text}; `turnout show {run.id[:12]}`")
        _say_who_will(system)
    return 0
