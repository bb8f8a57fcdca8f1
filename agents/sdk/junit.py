"""Test cases, and JUnit's XML of them, in the form that CI systems agree on.

Source: the Jenkins xUnit plugin's ``junit-10.xsd``; what JUnit itself writes has no specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from xml.etree import ElementTree as xml

MEDIA_TYPE = "application/xml"

MAX_DURATION = 1e9  # seconds
LONGEST = 20_000
"""Characters kept of a case's details."""

# What XML 1.0 has no way to write: control characters, lone surrogates, two non-characters.
_UNWRITABLE = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_COLORS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Status(StrEnum):
    """``error``: the case could not be tried (its fixture, hook or file broke)."""

    PASSED = "passed"
    FAILED = "failed"
    ERROR = "error"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Case:
    """``id`` is what the runner takes to run the case again. ``suite``: what it is in, for people.

    ``file`` from the root of the repository. ``message``: one line; ``details``: all that was said.
    ``duration`` in seconds.
    """

    id: str
    name: str
    status: Status
    suite: str = ""
    file: str = ""
    duration: float = 0.0
    message: str = ""
    details: str = ""

    def __post_init__(self) -> None:
        """Raises: TypeError for what a report has instead of text, or for a time that is none."""
        for name in ("id", "name", "suite", "file", "message", "details"):
            if not isinstance(getattr(self, name), str):
                raise TypeError(f"a case's {name} is a {type(getattr(self, name)).__name__}, expected text")
        if not -MAX_DURATION <= self.duration <= MAX_DURATION:
            raise TypeError(f"a case's duration is {self.duration!r}")


def render(suites: Sequence[tuple[str, Sequence[Case]]]) -> bytes:
    """``suites``: name (the runner) and its cases. Each case is one element, so the counts are the results' own."""
    everything = [case for _, cases in suites for case in cases]
    root = xml.Element("testsuites", {"name": "turnout", **_counts(everything)})
    for name, cases in suites:
        suite = xml.SubElement(root, "testsuite", {"name": name, **_counts(cases)})
        for case in cases:
            suite.append(_case(case))
    xml.indent(root)
    return bytes(xml.tostring(root, encoding="utf-8", xml_declaration=True)) + b"\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    return {
        "tests": str(len(cases)),
        "failures": str(count(cases, Status.FAILED)),
        "errors": str(count(cases, Status.ERROR)),
        "skipped": str(count(cases, Status.SKIPPED)),
        "time": f"{sum(case.duration for case in cases):.3f}",
    }


def _case(case: Case) -> xml.Element:
    given = {"name": case.name, "classname": case.suite or case.file, "time": f"{case.duration:.3f}"}
    element = xml.Element("testcase", {key: plain(value) for key, value in given.items()})
    if case.file:
        element.set("file", plain(case.file))
    tag = {Status.FAILED: "failure", Status.ERROR: "error", Status.SKIPPED: "skipped"}.get(case.status)
    if tag:
        reason = xml.SubElement(element, tag, {"message": plain(case.message)} if case.message else {})
        reason.text = plain(case.details)[:LONGEST] or None
    return element


def count(cases: Iterable[Case], status: Status) -> int:
    return sum(case.status is status for case in cases)


def plain(text: str) -> str:
    """Without terminal colours, and without what XML cannot hold."""
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", _COLORS.sub("", text))


def one_line(text: str, longest: int = 300) -> str:
    """The first line that says something, shortened."""
    lines = (line.strip() for line in plain(text).splitlines())
    first = next(filter(None, lines), "")
    return first if len(first) <= longest else first[: longest - 1] + "…"
