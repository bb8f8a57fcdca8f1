"""The projection of a run, and which version of us has made it.

The events are the truth: a state that another version has folded is made again of them, so that nothing is lost that
this version knows and that one did not, and nothing is decided on that this one does not know.
"""

from __future__ import annotations

from turnout.adapters.store.link import Link, Statement
from turnout.core import events as e
from turnout.core.evolve import replay
from turnout.core.run import Run, dump, load

FORM = "469abe6ce838"
"""Stands for the fields of events and states. A test says when it has to be another; where `evolve` folds the same
fields otherwise, put a letter behind it."""

_MARK = f',"form":"{FORM}"}}'
_BODIES = Statement("SELECT body FROM events WHERE run = :run AND version > :after ORDER BY version")


def write(run: Run) -> str:
    """JSON text, for the table of runs."""
    return dump(run)[:-1] + _MARK


def read(link: Link, run: str, text: str, known: Run | None = None) -> Run | None:
    """The run whose state this is. ``known``: an earlier state of it. Raises: Newer."""
    if text.endswith(_MARK):
        return load(text)
    return rebuilt(link, run, known)


def rebuilt(link: Link, run: str, known: Run | None = None) -> Run | None:
    """The run by its events alone; None: there are none. Raises: Newer."""
    rows = link.send(_BODIES, {"run": run, "after": known.version if known else 0}).rows
    return replay((e.load(body) for (body,) in rows), known)
