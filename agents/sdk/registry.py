"""Agents by name: the built-in ``agents.<kind>.agent:run``, and those of other packages.

Another package offers one as an entry point of the group ``turnout.agents``: ``kind = "package.module:function"``.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from importlib.metadata import entry_points

from agents.sdk.workspace import AgentError, Workspace
from turnout.core.messages import TaskRequested
from turnout.core.result import Result

GROUP = "turnout.agents"

Agent = Callable[[TaskRequested, Workspace], Result]


def find(kinds: Iterable[str]) -> dict[str, str]:
    """Where each kind's function is, as ``module:function``. Raises: AgentError naming the kinds nobody offers."""
    found: dict[str, str] = {}
    for kind in kinds:
        if kind.isidentifier() and importlib.util.find_spec(f"agents.{kind}") is not None:
            found[kind] = f"agents.{kind}.agent:run"
        else:
            found |= {each.name: each.value for each in entry_points(group=GROUP, name=kind)}
    missing = sorted(set(kinds) - found.keys())
    if missing:
        raise AgentError(
            f"there is no agent called {', '.join(missing)}",
            f"install a package that offers it as an entry point of the group {GROUP}",
        )
    return found


def load(place: str) -> Agent:
    """The function at ``module:function``. Raises: AgentError."""
    module, _, name = place.partition(":")
    try:
        function: Agent = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise AgentError(f"the agent {place} cannot be loaded: {error}", "reinstall its package") from error
    return function
