"""Whether an agent's image is whole: its agent can be loaded, its tools start, and what holds them in.

``python -m agents.sdk.job --health``. ``TURNOUT_AGENT``: the agent's kind; ``TURNOUT_AGENT_TOOLS``: programs that it
needs, separated by blanks. An image sets both.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from agents.sdk import environment, registry
from agents.sdk.local_workspace import tool_path
from turnout.core.errors import TurnoutError

AGENT, TOOLS = "TURNOUT_AGENT", "TURNOUT_AGENT_TOOLS"
WITHIN = 20  # seconds for one tool to say its version


def look(environ: Mapping[str, str]) -> Iterator[tuple[bool, str]]:
    """(is it well, one line)."""
    kinds = environ.get(AGENT, "").split()
    if not kinds:
        yield False, f"{AGENT} is not set: an image says which agent is in it"
    for kind in kinds:
        try:
            registry.load(registry.find([kind])[kind])
            yield True, f"agent {kind}"
        except TurnoutError as error:
            yield False, str(error)
    for tool in environ.get(TOOLS, "").split():
        yield _tool(tool)
    place = Path(environ.get("TURNOUT_HOME") or tempfile.gettempdir())
    writable = os.access(place, os.W_OK)
    yield writable, f"room for work in {place}" if writable else f"{place} can't be written to"
    yield True, environment.sandbox(environ.get("TURNOUT_SANDBOX") or "auto").describe()


def main() -> int:
    """0: all is well."""
    well = True
    for good, line in look(os.environ):
        well &= good
        print(line if good else f"MISSING: {line}")
    return 0 if well else 1


def _tool(name: str) -> tuple[bool, str]:
    found = shutil.which(name, path=tool_path())
    if found is None:
        return False, f"{name} is not where tools are looked for ({tool_path()})"
    try:
        said = subprocess.run(
            [found, "--version"], capture_output=True, text=True, timeout=WITHIN, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return False, f"{name} does not start: {error}"
    if said.returncode != 0:
        return False, f"{name} --version ended with status {said.returncode}"
    first = (said.stdout or said.stderr).strip().splitlines()
    return True, f"{name}: {first[0] if first else 'it starts'}"
