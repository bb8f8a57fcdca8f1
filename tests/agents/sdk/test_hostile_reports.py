"""What a tool has written is read with care: it may be hostile, cut short, or right in another shape."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.lint import eslint, pylint, ruff
from agents.lint.asked import Asked
from agents.lint.options import LintOptions
from agents.sdk.toolchain import read_json, read_json_lines
from agents.sdk.workspace import AgentError
from agents.test import javascript_reports, javascript_runner, pytest_runner


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (b'{"a": "\\ud800 \\ud83d\\ude00 \\udc00"}', {"a": "\ufffd \U0001f600 \ufffd"}),
        (b'{"a": "\xff"}', {"a": "\ufffd"}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'{"a": 1e400}', None),
        (b'{"a": NaN}', None),
        (b"[" * 100_000, None),
        (b"9" * 5_000, None),
    ],
)
def test_json_is_put_right_where_it_was_meant_well_and_is_none_otherwise(
    tmp_path: Path, written: bytes, read: object
) -> None:
    (tmp_path / "r.json").write_bytes(written)
    assert read_json(tmp_path, "r.json") == read
    (tmp_path / "r.jsonl").write_bytes(b'{"a": 0}\n' + written)
    more = [read] if read else []
    assert list(read_json_lines(tmp_path, "r.jsonl") or ()) == [{"a": 0}, *more]


SHAPES = (b"[1]", b"[[]]", b'[{"messages": 7}]', b'[{"messages": [{}], "filePath": "a"}]')


@pytest.mark.parametrize("written", SHAPES)
def test_a_linters_report_of_another_shape_is_its_own_error_and_no_defect_of_the_agent(
    tmp_path: Path, written: bytes
) -> None:
    (tmp_path / "r.json").write_bytes(written)
    asked = Asked(tmp_path, LintOptions())
    with pytest.raises(AgentError, match=r"eslint's report cannot be read \("):
        eslint.read(tmp_path / "r.json", asked)
    with pytest.raises(AgentError, match=r"pylint's report cannot be read \("):
        pylint.read(tmp_path / "r.json", ".")


def test_ruffs_report_of_another_shape_is_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_bytes(b'[{"location": 7}]')
    with pytest.raises(AgentError, match="ruff's report cannot be read"):
        ruff.read(tmp_path / "r.json", Asked(tmp_path, LintOptions()))


@pytest.mark.parametrize(
    "line",
    [
        b'{"file": "a", "status": "passed", "hook": false, "number": 1, "full": "x", "title": 7}',
        b'{"file": "a", "status": "vanished", "hook": false}',
        b'{"kind": "passed", "path": [], "file": "a"}',
        b'{"id": "a", "when": "call", "outcome": "passed", "duration": 1e300}',
        b'{"id": "a", "when": "call", "outcome": "failed", "duration": "1", "message": 7, "details": 7}',
        b"{}",
    ],
)
def test_a_runners_report_of_another_shape_is_its_own_error(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "report.jsonl").write_bytes(line)
    for read in (javascript_reports.read_mocha, javascript_reports.read_node):
        with pytest.raises(AgentError, match="report cannot be read"):
            read(tmp_path, tmp_path)
    with pytest.raises(AgentError, match="report cannot be read"):
        pytest_runner.cases(read_json_lines(tmp_path, "report.jsonl") or ())


@pytest.mark.parametrize(
    "lines", [b'{"covered": 9, "total": 8}', b'{"covered": 1e308, "total": 9}', b"7", b"{}"]
)
def test_more_lines_than_there_are_cannot_be_covered(tmp_path: Path, lines: bytes) -> None:
    (tmp_path / "coverage").mkdir()
    (tmp_path / "coverage/coverage-summary.json").write_bytes(b'{"total": {"lines": ' + lines + b"}}")
    with pytest.raises(AgentError, match="the coverage report cannot be read"):
        javascript_runner.read_lines(tmp_path)
    (tmp_path / "coverage.json").write_bytes(
        b'{"totals": '
        + lines.replace(b'"covered"', b'"covered_lines"').replace(b'"total"', b'"num_statements"')
        + b"}"
    )
    with pytest.raises(AgentError, match="the coverage report cannot be read"):
        pytest_runner.read_lines(tmp_path)
