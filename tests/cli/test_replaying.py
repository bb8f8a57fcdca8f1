from __future__ import annotations

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.house import House
from tests.cli.test_reading import failed
from tests.core.building import a_plan, stage
from tests.waiting import wait_until
from turnout.cli.replaying import walk
from turnout.core.run import Run


def test_a_run_is_shown_as_it_was_after_any_of_its_events(house: House) -> None:
    run = failed(house)
    events = house.store.events(run.id)
    for stored in events:
        told = house.turnout("replay", run.id, "--at", str(stored.version), "--json").json
        assert (told["version"], told["of"], told["recorded"]["kind"]) == (
            stored.version, len(events), stored.event.kind,
        )  # fmt: skip
        assert told["state"]["version"] == stored.version
        assert told["cause"]["event"] == stored.event.kind
    assert told["state"] == run.to_json()


def test_it_is_told_to_people_with_the_rule_and_where_it_stands(house: House) -> None:
    run = failed(house)
    started = next(
        each.version for each in house.store.events(run.id) if each.event.kind == "attempt_started"
    )
    said = house.turnout("replay", run.id, "--at", str(started)).out
    assert f"event {started} of {run.version}" in said
    assert "started lint" in said
    assert "rule: agent (because of event" in said
    assert "> ● lint" in said
    assert "  · test" in said
    assert "failure" in house.turnout("replay", run.id).out.splitlines()[0]


def test_an_event_that_is_not_there_is_told_those_that_are(house: House) -> None:
    run = failed(house)
    said = house.turnout("replay", run.id, "--at", "999")
    assert said.status == 2
    assert said.err == f"turnout: the run has no event 999 (it has the events 1 to {run.version})\n"


def test_without_a_terminal_there_is_nothing_to_step_in(house: House) -> None:
    run = failed(house)
    said = house.turnout("replay", run.id, "--step")
    assert "use `--at N` instead" in said.err


def test_the_arrow_keys_walk_and_stop_at_both_ends() -> None:
    left, right, home, end = "\x1b[D", "\x1b[C", "\x1b[H", "\x1b[F"
    assert list(walk(iter([right, right, right, left, "x", end, right, home, left, "q", right]), 3, 1)) == [
        1, 2, 3, 3, 2, 3, 3, 1, 1,
    ]  # fmt: skip
    assert list(walk(iter([]), 3, 99)) == [3]


@pytest.mark.real
def test_in_a_terminal_one_steps_from_event_to_event(house: House, tmp_path: Path) -> None:
    run: Run = house.push(a_plan(stage("lint", agent="lint")))
    ours, theirs = pty.openpty()
    step = subprocess.Popen(
        [sys.executable, "-m", "turnout", "replay", run.id, "--step"],
        stdin=theirs, stdout=theirs, stderr=theirs, env=os.environ | {"TURNOUT_HOME": str(house.wiring.settings.home)},
        cwd=tmp_path,
    )  # fmt: skip
    os.close(theirs)
    shown = ""

    def shows(text: str) -> bool:
        nonlocal shown
        shown += os.read(ours, 65536).decode("utf-8", "replace")
        return text in shown

    try:
        wait_until(lambda: shows("event 1 of"), 30)
        os.write(ours, b"\x1b[C")
        wait_until(lambda: shows("event 2 of"), 30)
        os.write(ours, b"q")
        assert step.wait(30) == 0
    finally:
        step.kill()
        step.wait()
        os.close(ours)
