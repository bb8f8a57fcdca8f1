from __future__ import annotations

import json
from typing import Any

from agents.sdk import sarif
from agents.sdk.sarif import ToolFindings
from turnout.core.result import MAX_NAMED, Finding

WORST = Finding(rule="E0602", severity="high", message="Undefined 'x'", path="src/a b.py", line=3, column=5)
MILD = Finding(rule="W0613", severity="medium", message="Unused 'y'", path="src/a b.py", line=2)
GLOBAL = Finding(rule="config", severity="note", message="No place")


def document(*tools: ToolFindings) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(sarif.render(tools))
    return content


def check_essentials(content: dict[str, Any]) -> None:
    """What the schema of SARIF 2.1.0 requires of the parts that are written here."""
    assert content["version"] == "2.1.0"
    assert set(content) <= {"$schema", "version", "runs"}
    for run in content["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"]
        assert run["columnKind"] in ("utf16CodeUnits", "unicodeCodePoints")
        rules = [rule["id"] for rule in driver["rules"]]
        assert len(rules) == len(set(rules))
        for result in run["results"]:
            assert result["level"] in ("none", "note", "warning", "error")
            assert result["message"]["text"]
            assert rules[result["ruleIndex"]] == result["ruleId"]
            for location in result.get("locations", ()):
                place = location["physicalLocation"]
                assert " " not in place["artifactLocation"]["uri"]
                assert place["artifactLocation"]["uriBaseId"] in run["originalUriBaseIds"]
                assert all(value >= 1 for value in place.get("region", {}).values())


def test_findings_become_results_with_rules_levels_and_places() -> None:
    tool = ToolFindings(
        "pylint", "4.1.4", (MILD, WORST, GLOBAL), home="https://x", helps={"E0602": "https://x/e"}
    )
    content = document(tool, ToolFindings("ruff", "0.17.6"))
    check_essentials(content)
    pylint, ruff = content["runs"]
    assert [result["ruleId"] for result in pylint["results"]] == ["E0602", "W0613", "config"], (
        "the worst first"
    )
    assert [result["level"] for result in pylint["results"]] == ["error", "warning", "note"]
    place = pylint["results"][0]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"]["uri"] == "src/a%20b.py"
    assert place["region"] == {"startLine": 3, "startColumn": 5}
    assert "locations" not in pylint["results"][2]
    assert pylint["tool"]["driver"]["rules"][0] == {"id": "E0602", "helpUri": "https://x/e"}
    assert ruff["results"] == []


def test_the_same_findings_give_the_same_bytes() -> None:
    one = sarif.render([ToolFindings("t", "1", (MILD, WORST))])
    assert one == sarif.render([ToolFindings("t", "1", (WORST, MILD))])


def test_counts_are_exact_where_not_all_can_be_named() -> None:
    many = tuple(MILD.with_(line=number + 1) for number in range(MAX_NAMED + 10))
    found = sarif.summarize([ToolFindings("t", "1", (*many, WORST))])
    assert found.counts == {"high": 1, "medium": MAX_NAMED + 10}
    assert len(found.named) == MAX_NAMED
    assert found.named[0] == WORST


def test_a_message_is_shortened_for_people_and_whole_in_the_file() -> None:
    long = WORST.with_(message="x" * 1000)
    assert len(sarif.summarize([ToolFindings("t", "1", (long,))]).named[0].message) == 300
    assert "x" * 1000 in sarif.render([ToolFindings("t", "1", (long,))]).decode()


def test_a_threshold_counts_itself_and_what_is_worse() -> None:
    counts = {"critical": 1, "high": 2, "medium": 4, "note": 8}
    assert sarif.at_least(counts, "high") == 3
    assert sarif.at_least(counts, "note") == 15
    assert sarif.at_least({}, "note") == 0


FLAW = Finding(
    rule="CVE-1", severity="critical", message="m", path="lock", line=4, kind="vulnerability", package="p",
    installed="1", fixed="2", new=True,
)  # fmt: skip


def test_a_security_finding_says_what_it_is_about_and_how_it_is_known_again() -> None:
    inside = FLAW.with_(source="image", path="usr/lib/p", new=False)
    ignored = ((FLAW.with_(rule="CVE-2", severity="low"), "accepted"),)
    content = document(ToolFindings("trivy", "1", (FLAW, inside), ignored=ignored, run="r-1", compared=True))
    check_essentials(
        {**content, "runs": [{**content["runs"][0], "results": content["runs"][0]["results"][:1]}]}
    )
    (run,) = content["runs"]
    assert run["automationDetails"] == {"id": "r-1"}
    first, second, last = run["results"]
    assert first["properties"] == {
        "severity": "critical", "kind": "vulnerability", "package": "p", "installed": "1", "fixed": "2",
    }  # fmt: skip
    assert first["partialFingerprints"] == {sarif.FINGERPRINT: sarif.fingerprint(FLAW)}
    assert (first["baselineState"], second["baselineState"]) == ("new", "unchanged")
    assert second["locations"] == [{"logicalLocations": [{"fullyQualifiedName": "image:usr/lib/p"}]}]
    assert last["suppressions"] == [{"kind": "external", "justification": "accepted"}]
    assert [rule["properties"]["security-severity"] for rule in run["tool"]["driver"]["rules"]] == [
        "9.5",
        "3.0",
    ]


def test_what_is_no_security_finding_is_told_as_before() -> None:
    content = document(ToolFindings("pylint", "4.1.4", (WORST,)))
    (run,) = content["runs"]
    assert set(run) == {"tool", "columnKind", "originalUriBaseIds", "results"}
    assert run["tool"]["driver"]["rules"] == [{"id": "E0602"}]
    assert set(run["results"][0]) == {"ruleId", "ruleIndex", "level", "message", "properties", "locations"}
