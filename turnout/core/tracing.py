"""Where things stand in a trace: one a run, all of its ids derived, so that whoever tells of a thing tells the same.

The trace's id is the run's, without dashes. In it lies the run, in the run its stages, in a stage the attempts at its
tasks; what a process does about one of them (a function that handles a message, a worker that runs an attempt) lies in
that. A message carries its place as ``traceparent``.
Source: https://www.w3.org/TR/trace-context/ and CloudEvents' extension "Distributed Tracing".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from typing import Literal

from turnout.core.ids import derive

TRACEPARENT = "traceparent"
"""The attribute of an envelope, and in capitals the variable that tools are given."""
Kind = Literal["internal", "server", "consumer"]

_HEX = re.compile(r"[0-9a-f]{32}")
_PLACE = re.compile(r"00-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-[0-9a-f]{2}")


@dataclass(frozen=True, slots=True)
class Place:
    """``trace``: 32 hex digits. ``span``: 16 hex digits."""

    trace: str
    span: str

    def __str__(self) -> str:
        return f"00-{self.trace}-{self.span}-01"


@dataclass(frozen=True, slots=True)
class Span:
    """Something that is over. ``parent``: a span's id, empty: it is the root. ``error``: empty: it went well."""

    name: str
    place: Place
    parent: str
    start: datetime
    end: datetime
    kind: Kind = "internal"
    error: str = ""
    attributes: Mapping[str, str | int | float | bool] = field(default_factory=dict)


def of_run(run: str) -> Place:
    trace = _hex(run)
    return Place(trace, trace[:16])


def of_stage(run: str, stage: str) -> Place:
    return Place(_hex(run), _hex(derive("span", run, stage))[:16])


def of_attempt(run: str, attempt: str) -> Place:
    return Place(_hex(run), _hex(attempt)[:16])


def of_work(run: str, attempt: str) -> Place:
    """What the worker does for an attempt."""
    return Place(_hex(run), _hex(attempt)[16:])


def of_handling(parent: Place, message: str) -> Place:
    """What a function does about a message, whose envelope id is given."""
    return Place(parent.trace, _hex(message)[:16])


def read(traceparent: str) -> Place | None:
    """None for anything that is none, or of a version that we do not know."""
    found = _PLACE.fullmatch(traceparent)
    return Place(found["trace"], found["span"]) if found else None


def _hex(id: str) -> str:
    bare = id.replace("-", "")
    return bare if _HEX.fullmatch(bare) else sha256(id.encode("utf-8", "replace")).hexdigest()[:32]
