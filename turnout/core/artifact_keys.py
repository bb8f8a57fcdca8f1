"""Where an attempt's files are in the artifact store: ``runs/<run>/<task>/<number>/<name>``."""

from __future__ import annotations

from urllib.parse import quote

LOG_NAME = "log.txt"
_PLAIN = "[]=,+@ "


def attempt_key(run: str, task: str, number: int, name: str = LOG_NAME) -> str:
    """``task`` is one path component, whatever a matrix put into it; ``name`` may have folders in it."""
    return f"runs/{quote(run, safe='')}/{_component(task)}/{number}/{name}"


def _component(text: str) -> str:
    quoted = quote(text, safe=_PLAIN)
    return quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted
