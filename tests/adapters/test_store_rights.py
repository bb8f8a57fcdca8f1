"""The parts' rights to the tables: each part may do what it does, and nothing else."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from turnout.adapters import store
from turnout.adapters.store.rights import PEOPLE, WRITES, read_role, rights
from turnout.adapters.store.tables import METADATA
from turnout.core.errors import PermanentError
from turnout.stack.layout import CONSOLE, FUNCTIONS

SOURCES = Path(store.__file__).parent
DOCS = SOURCES.parents[2] / "docs" / "deploy-gcp.md"
WRITTEN = re.compile(r"(INSERT) INTO (\w+)|(UPDATE) (\w+) SET|(DELETE) FROM (\w+)")
BY_MIGRATIONS_OR_THE_EMBEDDED_LOG = {"log_heads", "log_groups", "log_members", "log_positions"}


def test_every_function_has_its_rights_to_tables_that_there_are() -> None:
    assert {*WRITES} == {*FUNCTIONS, CONSOLE}
    assert {table for each in WRITES.values() for table in each} <= {*METADATA.tables}
    assert {*METADATA.tables} >= PEOPLE


def test_whatever_a_statement_writes_somebody_may_write() -> None:
    may = {(verb, table) for part in WRITES for table, verbs in rights(part).items() for verb in verbs}
    written = set()
    for file in SOURCES.glob("*.py"):
        for found in WRITTEN.finditer(re.sub(r'"\n\s+"', "", file.read_text())):
            verb, table = (each for each in found.groups() if each)
            written.add((verb, table))
    assert len(written) > 30
    assert written - may == set()
    untouched = {*METADATA.tables} - {table for _, table in written}
    assert untouched <= BY_MIGRATIONS_OR_THE_EMBEDDED_LOG


def test_only_the_console_sees_what_lets_people_in() -> None:
    for part in {*WRITES} - {CONSOLE}:
        seen = {table for table, may in rights(part).items() if "SELECT" in may}
        assert seen & {"api_tokens", "browser_sessions", "audit_log"} == set()
        assert {"runs", "events"} <= seen


def test_nobody_changes_or_removes_what_has_happened() -> None:
    for part in WRITES:
        for table in ("events", "audit_log", "attestations"):
            assert rights(part).get(table, frozenset()) <= {"SELECT", "INSERT"}


def test_the_docs_tell_who_writes_what() -> None:
    told = dict(
        re.findall(
            r"^\| (\w+) \| ((?:adds to|changes|removes from|nothing)[^|]*) \|$", DOCS.read_text(), re.M
        )
    )
    assert told == {part: written(tables) for part, tables in WRITES.items()}


def written(tables: Mapping[str, Sequence[str]]) -> str:
    found = []
    for verb, word in (("INSERT", "adds to"), ("UPDATE", "changes"), ("DELETE", "removes from")):
        if names := sorted(table for table, may in tables.items() if verb in may):
            found.append(f"{word} " + ", ".join(f"`{name}`" for name in names))
    return "; ".join(found) or "nothing"


def test_a_role_is_of_a_part_or_may_do_everything() -> None:
    assert read_role("reporter=turnout-reporter@acme.iam") == ("reporter", "turnout-reporter@acme.iam")
    assert read_role("turnout") == ("", "turnout")
    assert rights("")["events"] == {"SELECT", "INSERT", "UPDATE", "DELETE"}
    with pytest.raises(PermanentError, match="'porter' is no part"):
        read_role("porter=x")
