from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from agents.sdk.junit import Status
from agents.sdk.workspace import ToolRun
from agents.test.dialects import DIALECTS, in_script
from agents.test.javascript_reports import read_json, read_mocha, read_node
from agents.test.javascript_runner import javascript_runners, judge
from agents.test.options import SuiteOptions
from agents.test.report import Asked
from tests.agents.workspace import write


def jsonl(folder: Path, *lines: dict[str, Any]) -> None:
    write(folder, {"report.jsonl": "".join(json.dumps(line) + "\n" for line in lines)})


def test_jests_cases_are_read_with_files_names_and_first_lines(tmp_path: Path) -> None:
    content = {"testResults": [
        {"name": str(tmp_path / "a.test.js"), "status": "failed", "assertionResults": [
            {"ancestorTitles": ["sum"], "title": "adds", "fullName": "sum adds", "status": "passed", "duration": 1500},
            {"ancestorTitles": ["sum"], "title": "fails", "fullName": "sum fails", "status": "failed",
             "failureMessages": ["\x1b[31mError: no\x1b[39m\n    at x"], "duration": None},
            {"ancestorTitles": [], "title": "later", "fullName": "later", "status": "todo"},
        ]},
        {"name": str(tmp_path / "b.test.js"), "status": "failed", "assertionResults": [],
         "message": "  ● Test suite failed to run\n\n    SyntaxError: Unexpected token\n"},
    ]}  # fmt: skip
    write(tmp_path, {"report.json": json.dumps(content)})
    cases = read_json(tmp_path, tmp_path)
    assert cases is not None
    assert [(case.id, case.status, case.message) for case in cases] == [
        ("a.test.js::sum adds", Status.PASSED, ""),
        ("a.test.js::sum fails", Status.FAILED, "Error: no"),
        ("a.test.js::later", Status.SKIPPED, ""),
        ("b.test.js", Status.ERROR, "SyntaxError: Unexpected token"),
    ]
    assert cases[0].duration == 1.5


def test_a_report_that_is_missing_or_broken_is_no_report(tmp_path: Path) -> None:
    assert read_json(tmp_path, tmp_path) is None
    write(tmp_path, {"report.json": "{"})
    assert read_json(tmp_path, tmp_path) is None
    assert read_mocha(tmp_path, tmp_path) is None
    assert read_node(tmp_path, tmp_path) is None


def mocha(number: int, status: str, **more: Any) -> dict[str, Any]:
    known = {"number": number, "file": "/p/t.js", "title": "x", "full": "s x", "suite": "s", "hook": False}
    return known | {"status": status, "duration": 10, "message": "", "details": ""} | more


def test_a_case_of_mocha_that_fails_after_it_has_passed_has_failed(tmp_path: Path) -> None:
    jsonl(tmp_path, mocha(0, "passed"), mocha(0, "failed", message="done() called twice"), {"end": True})
    (case,) = read_mocha(tmp_path, Path("/p")) or ()
    assert (case.id, case.status, case.message) == ("t.js::s x", Status.FAILED, "done() called twice")


def test_a_hook_of_mocha_that_fails_names_the_file_to_run_again(tmp_path: Path) -> None:
    jsonl(tmp_path, mocha(0, "failed", hook=True, title='"before all" hook', message="no database"))
    (case,) = read_mocha(tmp_path, Path("/p")) or ()
    assert (case.id, case.status) == ("t.js", Status.ERROR)


def test_a_line_that_a_crash_cut_short_is_left_out(tmp_path: Path) -> None:
    jsonl(tmp_path, mocha(0, "passed"))
    with (tmp_path / "report.jsonl").open("a") as file:
        file.write('{"number": 1, "fi')
    assert len(read_mocha(tmp_path, Path("/p")) or ()) == 1


def node(path: list[str], **more: Any) -> dict[str, Any]:
    known = {"suite": False, "file": "/p/t.mjs", "path": path, "nesting": len(path) - 1, "failed": False}
    return known | {"skipped": False, "duration": 1, "kind": "", "message": "", "details": ""} | more


def test_nodes_suites_are_no_cases_and_a_hook_that_failed_is_told_by_those_it_kept_from_running(
    tmp_path: Path,
) -> None:
    jsonl(
        tmp_path,
        node(["S", "in"]),
        node(["S"], suite=True),
        node(["H", "never"], failed=True, kind="cancelledByParent", message="cancelled"),
        node(["H"], suite=True, failed=True, kind="hookFailed", message="no database"),
        node(["A"], suite=True, failed=True, kind="hookFailed", message="cannot close"),
        node(["/p/t.mjs"], failed=True, kind="testCodeFailure", message="test failed"),
    )
    cases = read_node(tmp_path, Path("/p")) or ()
    assert [(case.id, case.status, case.message) for case in cases] == [
        ("t.mjs::S in", Status.PASSED, ""),
        ("t.mjs::H never", Status.ERROR, "no database"),
        ("t.mjs", Status.ERROR, "cannot close"),
        ("t.mjs", Status.ERROR, "test failed"),
    ]


def judged(code: int | None, dialect: str = "jest", found: Any = (), **asked: Any) -> tuple[str, str]:
    given = Asked(Path("/p"), SuiteOptions(**asked.pop("options", {})), **asked)
    report = judge(
        ToolRun(("x",), code, None if code is not None else 9), found, None, DIALECTS[dialect], given
    )
    return report.failure, report.error


def test_no_report_is_never_a_success() -> None:
    assert judged(1, found=None) == (
        "",
        "jest ended with exit code 1 before any test ran; the log has its words",
    )
    assert judged(1, "mocha", found=None)[0].startswith("mocha ended with exit code 1 before any test ran")
    assert "found no tests" in judged(0, found=None)[1]
    assert "found no tests" in judged(0, found=())[1]
    assert judged(0, found=(), options={"allow_no_tests": True}) == ("", "")
    assert judged(None, found=())[0] == "jest was ended by signal 9"


def test_a_bad_exit_code_without_a_bad_case_is_a_failure(tmp_path: Path) -> None:
    jsonl(tmp_path, mocha(0, "passed"))
    found = read_mocha(tmp_path, Path("/p"))
    assert "no case failed" in judged(1, "mocha", found)[0]
    assert judged(0, "mocha", found) == ("", "")


def test_cases_that_were_not_asked_for_again_are_not_counted_as_skipped(tmp_path: Path) -> None:
    jsonl(tmp_path, mocha(0, "passed"), mocha(1, "skipped", full="s y"))
    found = read_mocha(tmp_path, Path("/p"))
    asked = Asked(Path("/p"), SuiteOptions(), ("t.js::s x",))
    report = judge(ToolRun(("x",), 0), found, None, DIALECTS["mocha"], asked)
    assert [case.id for case in report.cases] == ["t.js::s x"]


def test_single_cases_are_asked_for_by_their_whole_names() -> None:
    asked = Asked(Path("/p"), SuiteOptions(), ("a.js::s (1+1) [x]", "b.js::t"))
    jest = DIALECTS["jest"].arguments(asked, Path("/r"))
    assert jest[jest.index("--runTestsByPath") + 1 : -2] == ["a.js", "b.js"]
    assert jest[-2:] == ["-t", r"^(s \(1\+1\) \[x\]|t)$"]
    whole = Asked(Path("/p"), SuiteOptions(), ("a.js", "b.js::t"))
    assert "-t" not in DIALECTS["jest"].arguments(whole, Path("/r"))


def test_the_script_runs_as_it_stands_with_more_arguments() -> None:
    assert in_script(DIALECTS["mocha"], "mocha test/*.js", ["--reporter", "x"]) == [
        "sh", "-c", 'mocha test/*.js "$@"', "sh", "--reporter", "x",
    ]  # fmt: skip
    assert in_script(DIALECTS["node"], "A=node node --test", ["--r=a b"])[2] == "A=node node '--r=a b' --test"


def test_a_javascript_project_tells_its_runners(tmp_path: Path) -> None:
    def runners(name: str, **content: Any) -> list[str]:
        write(tmp_path / name, {"package.json": json.dumps(content)})
        return javascript_runners(tmp_path / name)

    assert runners("a", scripts={"test": "nyc mocha"}) == ["mocha"]
    assert runners("b", scripts={"test": "jest && mocha"}) == ["jest", "mocha"]
    assert runners("c", jest={}) == ["jest"]
    assert runners("d", devDependencies={"vitest": "1"}) == ["vitest"]
    assert runners("e", scripts={"test": "tape x"}) == ["npm"]
    assert runners("f", scripts={"test": 'echo "Error: no test specified" && exit 1'}) == []
    assert runners("g", scripts={"test": "mocha | cat"}, devDependencies={"mocha": "1"}) == ["mocha"]
    assert javascript_runners(tmp_path) == []
