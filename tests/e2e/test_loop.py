"""A push becomes a run and people hear of it, on every bus and store there is."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.kafka.broker import Broker
from tests.conftest import RunningPostgres
from tests.e2e.system import System, check_each_thing_once
from tests.waiting import wait_until

BUSES = ["embedded", pytest.param("kafka", marks=pytest.mark.real)]
STORES = ["sqlite", pytest.param("postgresql", marks=pytest.mark.real)]


@pytest.fixture
def kafka() -> Iterator[str]:
    with Broker() as broker:
        yield broker.bootstrap


def settings_for(bus: str, store: str, request: pytest.FixtureRequest) -> dict[str, str]:
    found = {}
    if bus == "kafka":
        found["TURNOUT_KAFKA_BOOTSTRAP"] = request.getfixturevalue("kafka")
    if store == "postgresql":
        server: RunningPostgres = request.getfixturevalue("postgres")
        found["TURNOUT_DATABASE_URL"] = server.create_database(f"e2e_{uuid.uuid4().hex}")
    return found


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("bus", BUSES)
def test_a_signed_push_becomes_a_run_and_one_slack_message(
    bus: str, store: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    with System(tmp_path, settings_for(bus, store, request)) as system:
        system.make_repository()
        system.start()
        ids = [system.deliver("one"), system.deliver("one"), system.deliver("two")]
        assert ids[0] == ids[1]
        runs = system.wait_for(sorted(set(ids)))
        check_each_thing_once(system, runs)
        told = system.wait_for_messages(2)
        assert len(told) == 2
        assert all(f"{system.running.urls['console']}/runs/" in str(each) for each in told), "it leads there"
        assert system.stop() == 0


@pytest.mark.real
def test_each_function_in_a_process_of_its_own_does_the_same(tmp_path: Path) -> None:
    with System(tmp_path, arguments=["--separate"]) as system:
        system.make_repository()
        system.start()
        runs = system.wait_for([system.deliver()])
        check_each_thing_once(system, runs)
        assert len(system.wait_for_messages(1)) == 1


@pytest.mark.real
def test_with_jobs_launched_for_each_attempt_it_does_the_same(tmp_path: Path) -> None:
    with System(tmp_path, {"TURNOUT_LAUNCHER_RUNTIMES": "process"}) as system:
        system.make_repository()
        assert "agents" not in system.start().parts
        runs = system.wait_for([system.deliver()])
        check_each_thing_once(system, runs)
        assert len(system.wait_for_messages(1)) == 1


def test_a_broken_pipeline_file_in_a_push_is_told_with_its_place(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository({"pipeline.yml": "pipeline:\n  stages:\n    - lnt\n"})
        system.start()
        (run,) = system.wait_for([system.deliver()])
        assert run.outcome is not None
        assert run.outcome.value == "failure"
        wait_until(
            lambda: "pipeline.yml:3:7" in str([system.messages(), threads(system)]), 20, "the place is told"
        )
        assert "did you mean" in str([system.messages(), threads(system)])


@pytest.mark.real
def test_a_push_that_nothing_listens_to_is_explained_at_the_command_line(tmp_path: Path) -> None:
    with System(tmp_path) as system:
        system.make_repository({"pipeline.yml": "pipeline: {on: {push: [release]}, stages: [lint]}\n"})
        system.start()
        system.deliver("unheard")
        command = [sys.executable, "-m", "turnout", "explain", "--delivery", "unheard"]

        def explained() -> str:
            done = subprocess.run(command, env=system.environ, capture_output=True, text=True, check=True)
            return done.stdout if "Nothing ran" in done.stdout else ""

        said = wait_until(explained, 30, "the orchestrator has answered")
        assert "Rule: on.push.branches." in said
        assert "It saw branch: main." in said
        assert "It would run if: `on.push.branches` had a pattern for main." in said


def threads(system: System) -> list[object]:
    return [system.workspace.replies("builds", message["ts"]) for message in system.messages()]
