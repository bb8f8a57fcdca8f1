"""`turnout --version`: the version, and the commit where it is known."""

from __future__ import annotations

import subprocess
from importlib.metadata import version
from pathlib import Path

import turnout


def said() -> str:
    commit = built_from() or checked_out()
    return f"turnout {version('turnout')}" + (f" (commit {commit[:12]})" if commit else "")


def built_from() -> str:
    """The commit that `make dist` wrote into the distribution; empty: this is none of its."""
    try:
        return (Path(turnout.__file__).parent / "COMMIT").read_text().strip()
    except OSError:
        return ""


def checked_out() -> str:
    """The commit of the checkout that this runs from; empty: it runs from none."""
    root = Path(turnout.__file__).parents[1]
    if not (root / ".git").exists():
        return ""
    try:
        asked = subprocess.run(
            ["git", "-C", root, "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except OSError:
        return ""
    return asked.stdout.strip() if asked.returncode == 0 else ""
