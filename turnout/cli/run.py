"""`turnout run`: a local checkout through the very same functions, watched live."""

from __future__ import annotations

import re
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from rich.markup import escape

from turnout.cli.background import Stack, attach_or_start
from turnout.cli.finding import person
from turnout.cli.live import LiveView
from turnout.cli.reaching import elsewhere
from turnout.cli.read import last_line
from turnout.cli.shown import EXIT_STATUS, console, print_json, summary
from turnout.core.change import Change
from turnout.core.errors import InvalidConfig, NotFound, PermanentError
from turnout.core.evolve import replay
from turnout.core.messages import RunRequested
from turnout.core.model import ChangeKind
from turnout.core.plan import NotTriggered
from turnout.core.run import Run
from turnout.following import follow
from turnout.wiring import prepare, wiring


def run(path: Path, *, file: str, event: str, branch: str, given: Sequence[str], as_json: bool) -> int:
    """Exit status: by outcome; 2 when the stack could not be brought up."""
    if not path.is_dir():
        raise PermanentError(f"{path} is no folder", "give the path of a checkout")
    inputs = read_inputs(given)
    prepare(wiring().settings)
    with attach_or_start(wiring().settings) as stack:
        change = local_change(path.resolve(), "dispatch" if given else event, branch, inputs)
        nothing = _nothing_to_run(change, file)
        if nothing:
            return _said_nothing(nothing, as_json)
        asked = wiring().commands.request_run(change, person(""), pipeline_file=file)
        done = _watch(asked, stack, as_json=as_json)
    if done is None:
        raise PermanentError(
            "the stack ended before the run did", f"`turnout up` goes on with run {asked[:12]}"
        )
    if as_json:
        print_json(summary(done))
    else:
        for problem in done.problems:
            console.print(f"  [red]{escape(str(problem))}[/]")
        console.print(last_line(done))
        turnout = "turnout --remote local" if elsewhere() else "turnout"
        console.print(f"[dim]{turnout} show {done.id[:12]}   {turnout} logs {done.id[:12]}[/]")
    return EXIT_STATUS.get(done.outcome, 2) if done.outcome else 2


def read_inputs(given: Sequence[str]) -> dict[str, str]:
    """Raises: PermanentError for one that is no ``NAME=VALUE``."""
    pairs = [each.partition("=") for each in given]
    if wrong := [name for name, equals, _ in pairs if not (name and equals)]:
        raise PermanentError(f"--input: got {wrong[0]!r}", "write it as NAME=VALUE")
    return {name: value for name, _, value in pairs}


def local_change(path: Path, event: str, branch: str, inputs: Mapping[str, str] | None = None) -> Change:
    """The checkout as it is now, uncommitted changes included, as a change of the given kind.

    Raises: PermanentError for an unknown event, or a folder that can't be read.
    """
    try:
        kind = ChangeKind(event)
    except ValueError:
        expected = ", ".join(each.value for each in ChangeKind)
        raise PermanentError(f"--event: got {event!r}", f"expected one of {expected}") from None
    taken = wiring().snapshot(path)
    on = branch or taken.branch or "main"
    tag = on if kind is ChangeKind.TAG else ""
    return Change(
        kind=kind,
        repository=local_project(path),
        clone_url=str(path),
        ref=f"refs/tags/{tag}" if tag else f"refs/heads/{on}",
        sha=taken.sha,
        branch="" if tag else on,
        tag=tag,
        base_branch="main",
        author=person(""),
        title="uncommitted changes" if taken.dirty else "",
        dirty=taken.dirty,
        inputs=dict(inputs or {}),
    )


def local_project(path: Path) -> str:
    """What the runs of a checkout on this machine belong to: ``local/`` and the folder, as such a name may be."""
    return f"local/{re.sub(r'[^A-Za-z0-9_.-]+', '-', path.name).strip('.-') or 'checkout'}"


def _nothing_to_run(change: Change, file: str) -> str:
    """Why the pipeline file, read for this change, asks for nothing. A broken file is the run's to report."""
    request = RunRequested(trigger="local", change=change, pipeline_file=file)
    try:
        planned = wiring().planner(request).plan
    except (InvalidConfig, NotFound):
        return ""
    return planned.reason if isinstance(planned, NotTriggered) else ""


def _said_nothing(reason: str, as_json: bool) -> int:
    if as_json:
        print_json({"outcome": "skipped", "run": "", "stages": [], "reason": reason})
    else:
        console.print(f"Nothing to run: {escape(reason)}")
    return 0


def _watch(asked: str, stack: Stack, *, as_json: bool) -> Run | None:
    """The run once it has ended; None when the stack died under it."""
    view = None if as_json or not sys.stdout.isatty() else LiveView(asked)
    history: list[Any] = []
    with _cancel_on_interrupt(asked, as_json), view or _nothing():
        for stored in follow(wiring().store, asked, alive=stack.alive):
            if stored is not None:
                history.append(stored.event)
                if as_json:
                    at = stored.at.isoformat()
                    print_json(
                        {"run": asked, "version": stored.version, "at": at, "event": stored.event.to_json()}
                    )
                elif view is None:
                    _plain(stored.event)
            if view is not None and history:
                view.update(replay(history))
    found = wiring().store.load(asked)
    return found if found is not None and found.finished else None


def _plain(event: Any) -> None:
    """Without a terminal: a line for each stage that starts or ends, and each attempt that ends."""
    match event.kind:
        case "stage_started":
            console.print(f"● {escape(event.stage)}")
        case "attempt_finished":
            console.print(
                f"  {escape(event.task)}: {event.result.outcome.value} {escape(event.result.summary)}"
            )
        case "retry_scheduled":
            console.print(f"  {escape(event.task)}: attempt {event.number} follows")
        case "stage_finished" | "stage_skipped":
            outcome = event.outcome.value if event.kind == "stage_finished" else "skipped"
            console.print(
                f"{'✔' if outcome == 'success' else '✘'} {escape(event.stage)}: {outcome} {escape(event.reason)}"
            )
        case _:
            pass


@contextmanager
def _nothing() -> Iterator[None]:
    yield


@contextmanager
def _cancel_on_interrupt(run: str, as_json: bool) -> Iterator[None]:
    """The first Ctrl-C cancels the run and waits for its end; the second leaves at once."""
    asked = False

    def interrupted(_number: int, _frame: FrameType | None) -> None:
        nonlocal asked
        if asked:
            raise KeyboardInterrupt
        asked = True
        state = wiring().store.load(run)
        if state is None:
            raise KeyboardInterrupt
        if not as_json:
            console.print("cancelling; Ctrl-C again to leave at once")
        wiring().commands.cancel(state, person(""), "Ctrl-C")

    before = signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
