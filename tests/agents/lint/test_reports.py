"""Reading what Pylint and ESLint write."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agents.lint import eslint, pylint
from agents.lint.asked import Asked
from agents.lint.options import LintOptions
from agents.sdk.workspace import AgentError


def test_pylints_messages_become_findings_with_columns_from_one(tmp_path: Path) -> None:
    place = {"path": "shop.py", "line": 3, "column": 0}
    message = {"symbol": "undefined-variable", "message": "x", "message-id": "E0602", **place}
    kinds = ("fatal", "error", "warning", "refactor", "convention", "info")
    (tmp_path / "r.json").write_text(json.dumps([message | {"type": kind} for kind in kinds]))
    found = pylint.read(tmp_path / "r.json", "app")
    assert [each.severity for each in found] == ["critical", "high", "medium", "low", "low", "note"]
    assert (found[0].rule, found[0].path, found[0].line, found[0].column) == (
        "undefined-variable",
        "app/shop.py",
        3,
        1,
    )


def test_eslints_messages_become_findings_and_its_files_are_counted(tmp_path: Path) -> None:
    root = tmp_path / "checkout"
    root.mkdir()
    content = [
        {"filePath": str(root / "a.js"), "messages": [
            {"ruleId": "no-undef", "severity": 2, "message": "no", "line": 1, "column": 2},
            {"ruleId": "plugin/rule", "severity": 1, "message": "hm", "line": 2, "column": 1},
            {"ruleId": None, "severity": 2, "fatal": True, "message": "Parsing error", "line": 9, "column": 9},
        ]},
        {"filePath": str(root / "b.js"), "messages": []},
    ]  # fmt: skip
    (tmp_path / "r.json").write_text(json.dumps(content))
    found, checked = eslint.read(tmp_path / "r.json", Asked(root, LintOptions(working_directory="web")))
    assert checked == 2
    assert [(each.rule, each.severity, each.path) for each in found] == [
        ("no-undef", "high", "web/a.js"),
        ("plugin/rule", "medium", "web/a.js"),
        ("parse-error", "critical", "web/a.js"),
    ]


@pytest.mark.parametrize("content", [None, "", "{}", "oops"])
def test_a_report_that_is_missing_or_broken_is_an_error(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "r.json").write_text(content)
    with pytest.raises(AgentError, match="pylint wrote no report"):
        pylint.read(tmp_path / "r.json", ".")
    with pytest.raises(AgentError, match="eslint wrote no report"):
        eslint.read(tmp_path / "r.json", Asked(tmp_path, LintOptions()))
