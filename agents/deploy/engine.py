"""What Helm and kubectl have in common for whoever deploys with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from agents.deploy.objects import Id, Object


@dataclass(frozen=True, slots=True)
class Rendered:
    """``file``: what the tools are given, and its ``text``. ``objects``: what stays; ``everything``: with hooks, which
    run beside it."""

    file: Path
    text: str
    objects: tuple[Object, ...]
    everything: tuple[Object, ...]


@dataclass(frozen=True, slots=True)
class Standing:
    """``before``: the revision to go back to, empty: there is none. ``mine``: the revision that an earlier attempt of
    this task has made, empty: none has."""

    before: str = ""
    mine: str = ""


@dataclass(frozen=True, slots=True)
class PutBack:
    """``said``: in a few words. ``failed``: it is not what it was."""

    said: str
    failed: bool = False


class Engine(Protocol):
    """One release on its way. The methods are called in this order; ``put_back`` at any time after ``stand``."""

    name: str
    release: str
    manager: str
    force: bool
    tools: dict[str, str]

    def stand(self) -> Standing:
        """Look at what is there; what a deploy has left half done is put back first. Raises: AgentError,
        TransientError."""
        ...

    def render(self) -> Rendered:
        """Raises: Refused."""
        ...

    def apply(self, rendered: Rendered, live: Sequence[Object]) -> str:
        """Why it was not taken, or did not roll out; empty: all is well. Raises: AgentError, TransientError."""
        ...

    def settle(self, rendered: Rendered) -> tuple[str, tuple[Id, ...]]:
        """It has come to its end: its revision, and what was deleted."""
        ...

    def put_back(self, wait: float) -> PutBack:
        """To what was before. ``wait``: seconds that it may take to roll out, 0: it is not waited for."""
        ...

    def take_back(self, revision: str, before: str) -> PutBack:
        """A deploy that has come to its end, on request, later. Raises: AgentError where another one has come since."""
        ...
