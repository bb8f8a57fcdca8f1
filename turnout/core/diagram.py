"""The state diagrams of `turnout.core.run.TRANSITIONS`, in Mermaid's notation."""

from __future__ import annotations

import re

from turnout.core.run import TRANSITIONS

FIRST = {"run": ("queued", "running"), "stage": ("pending",), "task": ("pending",)}
ABOUT = {
    "run": "A run is created queued where an older run of its concurrency group must end first, otherwise running.",
    "stage": "A stage waits until all it needs has ended; one that asks for approval waits for people after that. "
    "An approval that is not the last one required leaves it waiting.",
    "task": "A task is one cell of a stage. `launched` and `started` are about its current attempt; a retry launches "
    "the next one.",
}


def state_diagrams() -> str:
    """A Markdown page with one diagram a machine."""
    parts = [
        "# States",
        "",
        "Drawn from the table of legal transitions in `turnout/core/run.py` by `make docs`; do not edit.",
        "An event that the table does not allow in a state cannot be recorded in it.",
        "",
    ]
    for name, table in TRANSITIONS.items():
        parts += [f"## {name.capitalize()}", "", ABOUT[name], "", "```mermaid", "stateDiagram-v2"]
        parts += [f"    [*] --> {state}" for state in FIRST[name]]
        for state, edges in table.items():
            parts += [f"    {state} --> {after}: {_words(event.__name__)}" for event, after in edges.items()]
        parts += ["    finished --> [*]", "```", ""]
    return "\n".join(parts)


def _words(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", " ", name).lower()
