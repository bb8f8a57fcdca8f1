"""Where files are in the artifact store.

An attempt's: ``runs/<run>/<task>/<number>/<name>``. The last findings of a branch:
``baselines/<project>/<branch>/<task>.sarif``.
"""

from __future__ import annotations

from urllib.parse import quote

LOG_NAME = "log.txt"
FINDINGS_NAME = "security.sarif"
"""The report that later ones are compared with."""
_PLAIN = "[]=,+@ "


def attempt_key(run: str, task: str, number: int, name: str = LOG_NAME) -> str:
    """``task`` is one path component, whatever a matrix put into it; ``name`` may have folders in it."""
    return f"runs/{quote(run, safe='')}/{_component(task)}/{number}/{name}"


def baseline_key(project: str, branch: str, task: str) -> str:
    return f"baselines/{_component(project)}/{_component(branch)}/{_component(task)}.sarif"


def _component(text: str) -> str:
    quoted = quote(text, safe=_PLAIN)
    return quoted.replace(".", "%2E") if set(quoted) == {"."} else quoted
