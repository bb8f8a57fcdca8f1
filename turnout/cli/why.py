"""How causes are told on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape

from turnout.cli.shown import console, print_json
from turnout.core.causes import Cause, causes
from turnout.core.errors import NotFound
from turnout.core.events import Event
from turnout.core.explain import preface, spoken
from turnout.core.run import Run

_AS_WISHED = frozenset({"run_created", "stage_started", "retry_scheduled"})
"""What went on: what would have stopped it is told in JSON alone."""


def told(run: Run, history: Sequence[Event], stage: str, *, as_json: bool) -> None:
    """Raises: NotFound for a stage that the run does not have."""
    try:
        first, found = preface(history, stage), causes(history, stage)
    except KeyError:
        raise NotFound(
            f"run {run.id[:12]} has no stage {stage!r}", f"it has {', '.join(run.stages)}"
        ) from None
    if as_json:
        print_json(
            {
                "run": run.id,
                "stage": stage,
                "about": list(first),
                "causes": [each.to_json() for each in found],
            }
        )
        return
    for sentence in first:
        console.print(escape(sentence))
    said = {each.version for each in spoken(found)}
    for cause in found:
        if cause.version in said and cause.version > 1:
            console.print(escape(cause.sentence))
        for flip in flips_of(cause):
            console.print(f"  [dim]↳ {escape(flip)}[/]")


def flips_of(cause: Cause) -> tuple[str, ...]:
    """As sentences, those of what did not go as one would wish."""
    if cause.event in _AS_WISHED:
        return ()
    return tuple(f"{flip[0].upper()}{flip[1:]}." for flip in cause.flips)
