"""What is new: findings that the base branch's last report does not have.

A finding is known again by its kind, its id, its package and its file, not by its line or the version of its package:
code moves. Of several that look the same (two keys in one file), as many are known as the earlier report has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from agents.sdk.sarif import FINGERPRINT, fingerprint
from agents.sdk.toolchain import written_by
from agents.sdk.workspace import AgentError
from turnout.core.result import Finding
from turnout.core.strict_json import read_json

LARGEST = 32 * 1024 * 1024  # bytes of an earlier report
Known = Counter[str]


@written_by("the earlier report")
def read_known(content: bytes, run: str) -> Known | None:
    """The findings of an earlier report of this agent, ignored ones too. None: it compares with nothing.

    ``run``: this one. A report of this very run (of an attempt before) says itself what was known before it.
    Raises: AgentError for what is no report of this agent.
    """
    if len(content) > LARGEST:
        raise AgentError(f"the earlier report has {len(content)} bytes; at most {LARGEST} are read")
    document = read_json(content)
    if document["version"] != "2.1.0":
        raise ValueError(f"SARIF {document['version']}")
    results: list[dict[str, Any]] = [each for part in document["runs"] for each in part["results"]]
    own = any(part.get("automationDetails", {}).get("id") == run for part in document["runs"])
    if own:
        if not all(part.get("properties", {}).get("compared") for part in document["runs"]):
            return None
        results = [each for each in results if each.get("baselineState") != "new"]
    return Counter(str(each["partialFingerprints"][FINGERPRINT]) for each in _distinct(results))


def _distinct(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What two scanners found alike, counts once."""
    seen: dict[str, dict[str, Any]] = {}
    for number, each in enumerate(results):
        same = each.get("properties", {}).get("kind") == "vulnerability"
        key = json.dumps([each["partialFingerprints"], each.get("properties", {}).get("installed")])
        seen.setdefault(key if same else str(number), each)
    return list(seen.values())


def mark(findings: Sequence[Finding], known: Known | None) -> tuple[Finding, ...]:
    """``new`` of each; None where there is nothing to compare with."""
    if known is None:
        return tuple(findings)
    left = Counter(known)
    marked = []
    for each in findings:
        print_ = fingerprint(each)
        marked.append(each.with_(new=left[print_] <= 0))
        left[print_] -= 1
    return tuple(marked)
