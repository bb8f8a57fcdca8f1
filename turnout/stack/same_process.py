"""The dispatcher's `Poster` where the functions are in its own process: they are called, and nothing is sent.

It is what one machine's stack does: the same envelope, the same answers, tries and dead letters as over HTTP, without a
request, a second process to wake, and a second reading. What a function may take is not bounded here: nobody hangs up
on it. Everywhere else functions are posted to (`turnout.adapters.http_poster`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from turnout.core.envelope import Received
from turnout.core.posting import Reply, Route
from turnout.serving import handed


class SameProcess:
    """``functions``: `turnout.serving.answering` ones, by the address of their routes."""

    def __init__(self, functions: Mapping[str, Callable[[Any], Any]]) -> None:
        self._functions = functions

    def post(self, route: Route, received: Received) -> Reply:
        return handed(self._functions[route.url], received)

    def close(self) -> None:
        """There is nothing open."""
