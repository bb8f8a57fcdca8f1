"""docs/threat-model.md says what is shown, and what is shown is said there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
PAGE = (TESTS.parent / "docs/threat-model.md").read_text("utf-8")
NAMED = {(file, test) for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", PAGE)}


def in_file(path: Path) -> set[str]:
    """Also those of a contract, which are methods."""
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return {
        node.name for node in nodes if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def test_every_test_that_is_named_exists() -> None:
    assert len(NAMED) > 100
    missing = [
        f"{file}::{test}"
        for file, test in sorted(NAMED)
        if not (TESTS / file).is_file() or test not in in_file(TESTS / file)
    ]
    assert missing == []


def test_every_security_test_is_named() -> None:
    there = {
        (f"security/{path.name}", test)
        for path in (TESTS / "security").glob("test_*.py")
        for test in in_file(path)
    }
    assert sorted(there - NAMED) == []


def test_every_row_names_a_test() -> None:
    section = PAGE[PAGE.index("## A hostile repository") :]
    rows = [line for line in section.splitlines() if line.startswith("| ") and not line.startswith("| ---")]
    headings = [row for row in rows if "| shown by |" in row]
    assert len(headings) >= 10
    assert [row for row in rows if row not in headings and "::test_" not in row] == []


def test_what_is_not_stopped_is_said_of_every_adversary() -> None:
    adversaries = [part for part in PAGE.split("\n## ")[3:] if not part.startswith("Carelessness")]
    assert len(adversaries) == 12
    assert [part.partition("\n")[0] for part in adversaries if "**Not stopped**" not in part] == []
