"""What a function loads before its first request, and how long that takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from turnout.stack.layout import FUNCTIONS, source_of

ROOT = Path(__file__).resolve().parents[2]
BUDGET = 1.5
"""CPU seconds, three times what it takes on a slow core."""
NEVER = (
    "rich",
    "typer",
    "alembic",
    "agents",
    "pygments",
    "gunicorn",
    "uvicorn",
    "starlette",
    "httpx",
    "turnout.cli",
)
AT_START = (*NEVER, "sqlalchemy", "kafka", "slack_sdk", "psycopg", "yaml", "smtplib", "sqlite3")
NEEDED = {
    "webhook": ("sqlalchemy",),
    "orchestrator": ("sqlalchemy", "yaml"),
    "launcher": (),
    "reporter": ("sqlalchemy",),
    "sweeper": ("sqlalchemy", "yaml"),
    "gateway": ("sqlalchemy", "yaml"),
}
"""Of those, what its first request may load."""
PROGRAM = """
import importlib.util, json, os, resource, sys

def loaded():
    return sorted(sys.modules)

found = {}
for path in sys.argv[1:]:
    spec = importlib.util.spec_from_file_location("main", path)
    main = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(main)
    found.setdefault("took", resource.getrusage(resource.RUSAGE_SELF).ru_utime)
found["at start"] = loaded()
from turnout.wiring import wiring
for name in (os.path.basename(os.path.dirname(path)) for path in sys.argv[1:]):
    reading, writing = os.pipe()
    if os.fork() == 0:
        getattr(wiring(), name)
        name == "reporter" and wiring().channels
        with os.fdopen(writing, "w") as file:
            json.dump(loaded(), file)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as file:
        found[name] = json.load(file)
    os.wait()
json.dump(found, sys.stdout)
"""
"""Imports the functions one after the other; then each one's first request has what it needs made in a fork."""


@pytest.fixture(scope="module")
def found(session_home: None) -> Mapping[str, Any]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("TURNOUT_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *(str(source_of(name)) for name in FUNCTIONS)],
        cwd=ROOT,
        env=environ | {"TURNOUT_HOME": os.environ["TURNOUT_HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert isinstance(told, dict)
    return told


def test_no_function_loads_a_heavy_package_before_it_is_asked_for_something(found: Mapping[str, Any]) -> None:
    assert [each for each in AT_START if each in found["at start"]] == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_then_loads_only_what_it_uses(found: Mapping[str, Any], name: str) -> None:
    unwanted = [each for each in AT_START if each not in (*NEEDED[name], "sqlite3")]
    assert [each for each in unwanted if each in found[name]] == []


def test_a_function_is_there_within_its_budget(found: Mapping[str, Any]) -> None:
    assert found["took"] < BUDGET
