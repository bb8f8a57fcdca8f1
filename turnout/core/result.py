"""An agent's answer."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from turnout.core.model import Outcome, Value

MAX_NAMED = 50
"""Cases and findings named in a result; the counts are exact, the whole lists are in the artifacts."""


class Finding(Value):
    """``severity``: ``critical``, ``high``, ``medium``, ``low`` or ``note``. ``line`` counts from 1, 0: none.

    Of a security finding, ``rule`` is the vulnerability's or the check's id, and ``message`` its title. ``installed``
    and ``fixed`` are versions of ``package``; ``fixed`` is empty where there is no fix. ``source``: where ``path`` is,
    empty: the repository. ``new``: whether the base branch's last report lacks it, None: not compared.
    """

    rule: str
    severity: str
    message: str
    path: str = ""
    line: int = 0
    column: int = 0
    kind: Literal["", "vulnerability", "secret", "misconfiguration"] = ""
    package: str = ""
    installed: str = ""
    fixed: str = ""
    url: str = ""
    source: Literal["", "image"] = ""
    new: bool | None = None


class Findings(Value):
    """``counts``: severity to number. ``named``: the worst first, at most `MAX_NAMED`.

    ``new``: the same counts of what is new since the report of ``compared_with``, None: there was none to compare with.
    ``ignored``: how many do not count. ``remarks``: what people should know of the scan, one line each.
    """

    counts: dict[str, int] = Field(default_factory=dict)
    named: tuple[Finding, ...] = ()
    new: dict[str, int] | None = None
    compared_with: str = ""
    ignored: int = 0
    remarks: tuple[str, ...] = ()


class FailedCase(Value):
    """``id`` is what the runner takes to run the case again (pytest's node id, Jest's file and full name)."""

    id: str
    name: str
    message: str = ""


class Tests(Value):
    """Counts are of distinct cases. ``flaky``: ids that failed in an attempt before and pass now.

    ``coverage`` is in percent of lines, None when not measured. ``duration`` in seconds.
    """

    total: int = 0
    passed: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    failed_cases: tuple[FailedCase, ...] = ()
    flaky: tuple[str, ...] = ()
    coverage: float | None = None
    duration: float = 0.0


class Artifact(Value):
    """``key`` is its place in the artifact store; ``size`` in bytes; ``sha256`` in hex."""

    name: str
    key: str
    size: int
    sha256: str
    media_type: str = "application/octet-stream"


class Result(Value):
    """``summary`` is one line for people. ``reason`` says why an ``error`` or ``timed_out`` happened and what to do.

    ``lost``: the platform lost the attempt; it counts against the infrastructure budget.
    ``tools``: name to version of what ran. ``sandbox``: one line on what held the tools in.
    """

    outcome: Outcome
    summary: str = ""
    reason: str = ""
    lost: bool = False
    findings: Findings | None = None
    tests: Tests | None = None
    outputs: dict[str, str] = Field(default_factory=dict)
    artifacts: tuple[Artifact, ...] = ()
    tools: dict[str, str] = Field(default_factory=dict)
    sandbox: str = ""
    exit_code: int | None = None
