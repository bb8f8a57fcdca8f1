"""The whole loop through the gateway: a push, the launcher, a job that has its pass alone, its result."""

from __future__ import annotations

import json
import os
import signal
import uuid
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from local.kafka import broker
from tests.conftest import RunningPostgres
from tests.e2e.system import System, check_each_thing_once
from tests.real import require
from tests.waiting import wait_until
from turnout.adapters.settings import read_settings
from turnout.core import messages as m
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome
from turnout.core.outgoing import task_request
from turnout.core.run import Attempt
from turnout.wiring import Wiring

SETTINGS = {
    "TURNOUT_LAUNCHER_RUNTIMES": "process",
    "TURNOUT_LAUNCHER_VIA": "gateway",
    "GATEWAY_TEST_TOKEN": "s3cret of the project",
    "TURNOUT_HEARTBEAT": "0.5",
}
ONE = """\
pipeline:
  stages:
    - name: only
      agent: script
      timeout: 2m
      secrets: [TOKEN]
      with: {run: "%(run)s", artifacts: ["out/*.txt"]}
"""
LOOK = (
    "echo begun $TURNOUT_ATTEMPT >> %(effects)s; until [ -e %(effects)s.go ]; do sleep 0.05; done; "
    "echo the token is $TOKEN; mkdir -p out; echo kept > out/a.txt; echo done >> %(effects)s"
)


@pytest.fixture
def system(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[System]:
    more: list[str] = getattr(request, "param", [])
    with System(tmp_path, SETTINGS, more) as made:
        yield made


def push(system: System, run: str = LOOK) -> str:
    run = run % {"effects": system.effects}
    system.make_repository({"pipeline.yml": ONE % {"run": run}})
    project = system.wiring.settings.projects_folder / "shop.yml"
    project.write_text(project.read_text() + "  secrets:\n    TOKEN: {env: GATEWAY_TEST_TOKEN}\n")
    system.start()
    return system.deliver()


def begun(system: System) -> Attempt:
    """The attempt whose tool runs now."""
    wait_until(lambda: "begun" in system.effects.read_text(), 40, "the tool runs")
    id = system.effects.read_text().split()[-1]
    (run,) = system.wiring.store.runs(limit=1)
    state = system.run(run.id)
    found = state.attempt(id) if state else None
    assert found is not None
    return found[2]


def jobs(system: System) -> list[int]:
    """Process ids of jobs that were launched through the gateway and live."""
    found = []
    for mark in (system.wiring.settings.home / "jobs").glob("*.launched"):
        pid = int(mark.read_text().split()[0])
        if (
            Path(f"/proc/{pid}/cmdline").exists()
            and b"agents.sdk.job" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ):
            found.append(pid)
    return found


def go(system: System) -> None:
    Path(f"{system.effects}.go").touch()


def holds_its_pass_and_nothing_else(pid: int) -> None:
    environ = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    names = {each.partition("=")[0] for each in environ if each.startswith("TURNOUT_") and "=" in each}
    assert names <= {
        "TURNOUT_GATEWAY_URL",
        "TURNOUT_ATTEMPT",
        "TURNOUT_ATTEMPT_TOKEN",
        "TURNOUT_HOME",
        "TURNOUT_SANDBOX",
    }
    assert not [each for each in environ if "GATEWAY_TEST_TOKEN" in each or "xoxb" in each]
    (token,) = [each for each in environ if each.startswith("TURNOUT_ATTEMPT_TOKEN=")]
    assert set(token.partition("=")[2]) == {"*"}, "the pass is out of sight before a tool runs"


def test_a_push_is_carried_by_jobs_that_have_their_pass_and_nothing_else(system: System) -> None:
    run = push(system)
    attempt = begun(system)
    (pid,) = jobs(system)
    if os.geteuid() == 0:
        holds_its_pass_and_nothing_else(pid)
    else:
        with pytest.raises(PermissionError):  # as for every tool
            Path(f"/proc/{pid}/environ").read_bytes()
    go(system)
    (ended,) = system.wait_for([run])
    assert ended.outcome is Outcome.SUCCESS, ended.reason
    assert system.effects.read_text().count("done") == 1
    artifacts = system.wiring.artifacts
    log = artifacts.get(attempt_key(run, "only", 1)).decode()
    assert "the token is ***" in log
    assert "s3cret" not in log
    (kept,) = [each for task in ended.stages["only"].tasks.values() for each in _artifacts(task.attempts)]
    assert artifacts.get(kept) == b"kept\n"
    assert attempt.worker.startswith("job-")
    wait_until(lambda: not jobs(system), 20, "the job has ended")
    assert not list((system.wiring.settings.home / "launched" / "remote").glob("*~*"))
    assert not list((system.wiring.settings.home / "launched" / "attempts").glob("*"))


def _artifacts(attempts: tuple[Attempt, ...]) -> list[str]:
    return [each.key for attempt in attempts if attempt.result for each in attempt.result.artifacts]


@pytest.mark.real  # nothing outside is needed, but time is
@pytest.mark.parametrize("system", [["--separate"]], indirect=True)
def test_with_a_gateway_of_its_own_process_the_whole_pipeline_runs(system: System) -> None:
    system.make_repository()
    system.start()
    ids = [system.deliver(), system.deliver()]
    check_each_thing_once(system, system.wait_for(ids))


@pytest.mark.real
@pytest.mark.timeout(240)
def test_on_kafka_and_postgresql_jobs_carry_the_pipeline_and_a_killed_gateway_costs_nothing(
    tmp_path: Path, postgres: RunningPostgres
) -> None:
    require("Apache Kafka", broker.available(), broker.INSTALL)
    url = postgres.create_database(f"gateway_{uuid.uuid4().hex}")
    with broker.Broker() as kafka:
        shared = {"TURNOUT_KAFKA_BOOTSTRAP": kafka.bootstrap, "TURNOUT_DATABASE_URL": url}
        with System(tmp_path, SETTINGS | shared, ["--separate"]) as system:
            system.make_repository()
            system.start()
            ids = [system.deliver("one"), system.deliver("two")]
            before = system.running.parts["gateway"]
            wait_until(lambda: bool(jobs(system)), 60, "a job has been launched")
            system.kill("gateway")
            wait_until(partial(another, system, before), 30, "it is started again")
            ended = system.wait_for(ids)
            check_each_thing_once(system, ended)
            workers = {each.worker for run in ended for _, task in run.tasks() for each in task.attempts}
            assert all("~" in each for each in workers), "each of them came through the gateway"
            assert len(system.wait_for_messages(2)) == 2


def another(system: System, before: int) -> bool:
    """Whether another process serves the gateway now."""
    return system.running.parts.get("gateway") not in (before, None)


@pytest.mark.real  # nothing outside is needed, but time is
@pytest.mark.parametrize("system", [["--separate"]], indirect=True)
def test_a_gateway_that_is_killed_again_and_again_in_mid_run_loses_nothing(system: System) -> None:
    run = push(system, LOOK + "; for i in $(seq 400); do echo line $i; done")
    begun(system)
    for _ in range(3):
        before = system.running.parts["gateway"]
        system.kill("gateway")
        wait_until(partial(another, system, before), 30, "it is started again")
    os.kill(system.running.parts["gateway"], signal.SIGSTOP)
    go(system)
    wait_until(lambda: "done" in system.effects.read_text(), 20, "the work is done while the door is shut")
    system.kill("gateway")
    (ended,) = system.wait_for([run])
    assert ended.outcome is Outcome.SUCCESS, ended.reason
    assert len(ended.stages["only"].tasks["only"].attempts) == 1
    log = system.wiring.artifacts.get(attempt_key(run, "only", 1)).decode()
    lines = [each for each in log.splitlines() if each.startswith("line ")]
    assert lines == [f"line {number}" for number in range(1, 401)], "each line once, in order"


@pytest.mark.real  # nothing outside is needed, but time is
def test_a_duplicate_launch_has_one_effect_and_the_second_job_ends_well(system: System) -> None:
    run = push(system)
    attempt = begun(system)
    state = system.run(run)
    assert state is not None
    task = task_request(state, attempt.id, lambda _: "").message
    assert isinstance(task, m.TaskRequested)
    where = {"TURNOUT_GATEWAY_URL": system.running.urls["gateway"]}
    runtime = Wiring(read_settings(system.environ | where)).launcher.runtimes[task.runtime]
    home = system.wiring.settings.home
    assert not runtime.launch(task), "the mark says that it was launched"
    (home / "jobs" / f"{attempt.id}.launched").unlink()
    assert runtime.launch(task)
    pid = int((home / "jobs" / f"{attempt.id}.launched").read_text().split()[0])
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert "nothing to do" in (home / "jobs" / f"{attempt.id}.log").read_text()
    go(system)
    (ended,) = system.wait_for([run])
    assert ended.outcome is Outcome.SUCCESS, ended.reason
    assert system.effects.read_text().count("begun") == system.effects.read_text().count("done") == 1


@pytest.mark.real  # nothing outside is needed, but time is
def test_a_cancel_reaches_a_job_through_its_heartbeats(system: System) -> None:
    run = push(system)
    attempt = begun(system)
    state = system.run(run)
    assert state is not None
    system.wiring.commands.cancel(state, by="ada", reason="not needed")
    (ended,) = system.wait_for([run])
    assert ended.outcome is Outcome.CANCELLED
    last = ended.attempt(attempt.id)
    assert last is not None
    assert last[2].by == "agent", "it has said so itself, before anybody gave it up"
    wait_until(lambda: not jobs(system), 20, "the job has ended")
    assert "done" not in system.effects.read_text()


@pytest.mark.real  # nothing outside is needed, but time is
def test_the_door_of_a_running_stack_is_shut_to_whoever_has_no_pass(system: System) -> None:
    run = push(system)
    attempt = begun(system)
    door = f"{system.running.urls['gateway']}/attempts/{attempt.id}"
    for headers in ({}, {"authorization": "Bearer v1.99999999999." + "0" * 64}):
        answer = httpx.get(f"{door}/task", headers={**headers, "turnout-session": "s" * 32})
        assert answer.status_code in (401, 403)
        assert json.loads(answer.text)["kind"] in ("no_pass", "wrong_pass")
    go(system)
    system.wait_for([run])
