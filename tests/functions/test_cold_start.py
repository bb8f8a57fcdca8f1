"""What a function loads before its first request, and how long that takes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path

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
}
"""Of those, what its first request may load."""
PROGRAM = """
import importlib.util, json, resource, sys
spec = importlib.util.spec_from_file_location("main", sys.argv[1])
main = importlib.util.module_from_spec(spec)
spec.loader.exec_module(main)
took = resource.getrusage(resource.RUSAGE_SELF).ru_utime
at_start = sorted(sys.modules)
from turnout.wiring import wiring
made = getattr(wiring(), sys.argv[2])
if sys.argv[2] == "reporter":
    wiring().channels
json.dump({"took": took, "at start": at_start, "then": sorted(sys.modules)}, sys.stdout)
"""


@cache
def started(name: str) -> Mapping[str, object]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("TURNOUT_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(source_of(name)), name],
        cwd=ROOT,
        env=environ | {"TURNOUT_HOME": os.environ["TURNOUT_HOME"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def loaded(name: str, when: str, unwanted: tuple[str, ...]) -> list[str]:
    modules = started(name)[when]
    assert isinstance(modules, list)
    return [each for each in unwanted if each in modules]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_loads_no_heavy_package_before_it_is_asked_for_something(name: str) -> None:
    assert loaded(name, "at start", AT_START) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_then_loads_only_what_it_uses(name: str) -> None:
    unwanted = tuple(each for each in AT_START if each not in (*NEEDED[name], "sqlite3"))
    assert loaded(name, "then", unwanted) == []


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_function_is_there_within_its_budget(name: str) -> None:
    took = started(name)["took"]
    assert isinstance(took, float)
    assert took < BUDGET
