from __future__ import annotations

from agents.sdk import sarif
from agents.sdk.sarif import ToolFindings
from agents.security.comparing import mark, read_known
from turnout.core.result import Finding

FLAW = Finding(
    rule="CVE-1",
    severity="high",
    message="m",
    kind="vulnerability",
    package="p",
    installed="1",
    path="lock",
    line=4,
)
KEY = Finding(rule="key", severity="critical", message="m", kind="secret", path="settings.py", line=3)


def report(*findings: Finding, tools: int = 1, compared: bool = False) -> bytes:
    one = ToolFindings("trivy", "1", findings, run="run-0", compared=compared)
    return sarif.render([one] * tools)


def new(before: bytes, *findings: Finding) -> list[bool | None]:
    return [each.new for each in mark(findings, read_known(before, "run-1"))]


def test_a_finding_is_known_again_where_its_line_or_its_packages_version_is_another() -> None:
    assert new(report(FLAW, KEY), FLAW.with_(line=9, installed="1.1"), KEY.with_(line=1)) == [False, False]


def test_a_finding_in_another_file_or_package_or_of_another_id_is_new() -> None:
    others = [
        FLAW.with_(path="other"),
        FLAW.with_(package="q"),
        FLAW.with_(rule="CVE-2"),
        FLAW.with_(source="image"),
    ]
    assert new(report(FLAW), *others) == [True] * 4


def test_a_second_key_in_a_file_that_had_one_is_new() -> None:
    assert new(report(KEY), KEY, KEY.with_(line=5)) == [False, True]
    assert new(report(KEY, KEY.with_(line=5)), KEY, KEY.with_(line=8)) == [False, False]


def test_what_two_scanners_found_alike_was_there_once() -> None:
    assert new(report(FLAW, tools=2), FLAW, FLAW.with_(installed="2")) == [False, True]


def test_what_was_ignored_before_is_not_new_when_its_entry_expires() -> None:
    ignored = ToolFindings("trivy", "1", (), ignored=((FLAW, "known"),), run="run-0")
    assert new(sarif.render([ignored]), FLAW) == [False]


def test_a_report_of_the_same_run_that_compared_with_nothing_is_nothing_to_compare_with() -> None:
    assert read_known(report(FLAW), "run-0") is None
    assert read_known(report(FLAW.with_(new=True), KEY.with_(new=False), compared=True), "run-0") == {
        sarif.fingerprint(KEY): 1
    }


def test_without_an_earlier_report_nothing_is_said_about_what_is_new() -> None:
    assert [each.new for each in mark([FLAW], None)] == [None]
