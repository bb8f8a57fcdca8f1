"""Cancel, rerun, approve, reject."""

from __future__ import annotations

from turnout.cli.finding import find_run, person
from turnout.cli.shown import console, print_json
from turnout.core.errors import PermanentError
from turnout.core.run import Run, StageStatus
from turnout.stack.lock import held
from turnout.wiring import wiring


def cancel(given: str, by: str, reason: str, *, as_json: bool) -> int:
    run = find_run(given)
    if run.finished:
        raise PermanentError(f"run {run.id[:12]} has ended already", "there is nothing to cancel")
    wiring().commands.cancel(run, person(by), reason)
    return _said(run, "cancel", "asked to stop", as_json)


def rerun(given: str, by: str, *, failed: bool, stage: str, as_json: bool) -> int:
    run = find_run(given)
    if failed and stage:
        raise PermanentError("--failed and --stage exclude each other", "give one of them")
    if not run.finished:
        raise PermanentError(f"run {run.id[:12]} has not ended", f"`turnout cancel {run.id[:12]}` first")
    if run.plan is None:
        raise PermanentError(f"run {run.id[:12]} has no plan: its file was not valid", "push a fix instead")
    if stage and stage not in run.stages:
        raise PermanentError(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
    new = wiring().commands.rerun(run, person(by), failed=failed, stage=stage)
    if as_json:
        print_json({"run": new, "rerun_of": run.id})
    else:
        console.print(f"run {new[:12]} is to run {run.id[:12]} again; `turnout show {new[:12]}`")
        _say_who_will()
    return 0


def _say_who_will() -> None:
    settings = wiring().settings
    if settings.embedded and not held(settings.home):
        console.print("[yellow]No stack of this home is up: it waits in the log until `turnout up`.[/]")


def decide_on(verb: str, given: str, stage: str, by: str, comment: str, *, as_json: bool) -> int:
    run = find_run(given)
    if stage not in run.stages:
        raise PermanentError(f"no stage {stage!r}", f"it has {', '.join(run.stages)}")
    if run.stages[stage].status is not StageStatus.WAITING:
        raise PermanentError(
            f"{stage} does not wait for approval", f"`turnout explain {run.id[:12]} {stage}`"
        )
    act = wiring().commands.approve if verb == "approve" else wiring().commands.reject
    act(run, stage, person(by), comment)
    return _said(run, verb, f"{stage}: {verb} recorded", as_json)


def _said(run: Run, verb: str, text: str, as_json: bool) -> int:
    if as_json:
        print_json({"run": run.id, "asked": verb})
    else:
        console.print(f"run {run.id[:12]}: {text}; `turnout show {run.id[:12]}`")
        _say_who_will()
    return 0
