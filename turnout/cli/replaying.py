"""`turnout replay`: a run as it was, event by event."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence

from rich.markup import escape

from turnout.cli.live import said_of
from turnout.cli.reaching import reach
from turnout.cli.shown import between, console, light, outcome_of, print_json
from turnout.cli.why import flips_of
from turnout.core.causes import Cause, causes
from turnout.core.errors import PermanentError
from turnout.core.events import Event
from turnout.core.replay import rebuild

_KEYS = "← → by one, ⇱ ⇲ to the ends, q to leave"
_MOVES: dict[str, Callable[[int, int], int]] = {
    "\x1b[D": lambda at, _: at - 1,
    "\x1b[C": lambda at, _: at + 1,
    "p": lambda at, _: at - 1,
    "n": lambda at, _: at + 1,
    " ": lambda at, _: at + 1,
    "\x1b[H": lambda *_: 1,
    "\x1b[F": lambda _, last: last,
}


def replay(given: str, at: int | None, *, step: bool, as_json: bool) -> None:
    """``at``: the number of an event, None: the last, or the first to step from. Raises: NotFound."""
    sight = reach().sight
    run = sight.run(given)
    history = [stored.event for stored in sight.events(run.id)]
    found = causes(history)
    if step:
        _step(history, found, at or 1)
        return
    version = len(history) if at is None else at
    state = rebuild(history, version)
    if as_json:
        event = {"cause": found[version - 1].to_json(), "recorded": history[version - 1].to_json()}
        print_json({"run": run.id, "version": version, "of": len(history), **event, "state": state.to_json()})
        return
    show(history, found, version)


def show(history: Sequence[Event], found: Sequence[Cause], version: int) -> None:
    """The run after its first ``version`` events. Raises: NotFound."""
    run, cause = rebuild(history, version), found[version - 1]
    console.print(
        f"[bold]{escape(run.project)}[/] {escape(run.change.branch or run.change.tag)} {run.change.sha[:8]}"
        f"  {outcome_of(run)}"
    )
    console.print(
        f"event {version} of {len(history)}  [dim]{cause.at:%Y-%m-%d %H:%M:%S}"
        f"  {between(run.created_at, cause.at)} after it was made[/]"
    )
    because = f" (because of event {cause.by})" if cause.by else ""
    console.print(f"[bold]{escape(cause.sentence)}[/]  [dim]rule: {cause.rule.value}{because}[/]")
    for flip in flips_of(cause):
        console.print(f"  [dim]↳ {escape(flip)}[/]")
    for stage in run.stages.values():
        now = stage.finished_at or cause.at
        tasks = escape(said_of(stage, cause.at))
        mark = ">" if stage.name == cause.stage else " "
        console.print(
            f"{mark} {light(stage)} {escape(stage.name)}  {between(stage.started_at, now)}  {tasks}"
        )


def walk(keys: Iterator[str], last: int, at: int) -> Iterator[int]:
    """Where one is: at first, and after each key. Ends with the keys, or at ``q``."""
    at = max(1, min(at, last))
    yield at
    for key in keys:
        if key in ("q", "\x03", "\x04"):
            return
        move = _MOVES.get(key)
        if move is not None:
            at = max(1, min(move(at, last), last))
            yield at


def _step(history: Sequence[Event], found: Sequence[Cause], at: int) -> None:
    if not sys.stdin.isatty():
        raise PermanentError("there is no terminal to step in", "use `--at N` instead of `--step`")
    for version in walk(_keys(), len(history), at):
        console.clear()
        show(history, found, version)
        console.print(f"\n[dim]{_KEYS}[/]")


def _keys() -> Iterator[str]:
    """One key each, as it is pressed; an arrow is three characters."""
    import os
    import termios
    import tty

    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    tty.setcbreak(terminal)
    try:
        while pressed := os.read(terminal, 8).decode("utf-8", "replace"):
            yield pressed if pressed.startswith("\x1b") else pressed[0]
    finally:
        termios.tcsetattr(terminal, termios.TCSADRAIN, before)
