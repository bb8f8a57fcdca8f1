from __future__ import annotations

from xml.etree import ElementTree as xml

from agents.sdk.junit import Case, Status, one_line, render

CASES = (
    Case("t.py::a", "a", Status.PASSED, "t", "t.py", 0.25),
    Case("t.py::b", "b", Status.FAILED, "t", "t.py", 0.5, "1 != 2", "Traceback \x1b[31mred\x1b[0m \x00 <&>"),
    Case("t.py::c", "c", Status.ERROR, "t", "t.py", 0.0, "no fixture"),
    Case("t.py::d", "d", Status.SKIPPED, "t", "t.py", 0.0, "not today"),
)


def test_every_case_is_counted_once_in_its_suite_and_in_the_whole() -> None:
    root = xml.fromstring(render([("pytest", CASES), ("jest", CASES[:1])]))
    assert {key: root.get(key) for key in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5", "failures": "1", "errors": "1", "skipped": "1",
    }  # fmt: skip
    suites = root.findall("testsuite")
    assert [(suite.get("name"), suite.get("tests"), len(suite.findall("testcase"))) for suite in suites] == [
        ("pytest", "4", 4),
        ("jest", "1", 1),
    ]
    assert suites[0].get("time") == "0.750"


def test_what_failed_says_why_and_holds_nothing_that_xml_cannot() -> None:
    root = xml.fromstring(render([("pytest", CASES)]))
    failure = root.find(".//testcase[@name='b']/failure")
    assert failure is not None
    assert failure.get("message") == "1 != 2"
    assert failure.text == "Traceback red \N{REPLACEMENT CHARACTER} <&>"
    error, skipped = root.find(".//testcase[@name='c']/error"), root.find(".//testcase[@name='d']/skipped")
    assert error is not None
    assert skipped is not None
    assert skipped.get("message") == "not today"


def test_a_message_for_people_is_the_first_line_that_says_something() -> None:
    assert one_line("\n\n  \x1b[1massert 1 == 2\x1b[0m\nmore") == "assert 1 == 2"
    assert one_line("x" * 400) == "x" * 299 + "…"
    assert one_line("") == ""
