"""The compose stack on a real Docker Engine: our images as they are, stand-ins for those of others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from local.compose import demo
from local.compose.engine import FILE
from local.compose.stack import Images, Stack
from local.demo.push import Shop, make_shop
from local.demo.stack import deliver
from local.docker.daemon import Dockerd
from tests.compose.egress import egress
from tests.compose.images import make_ours, make_proxied, make_stand_ins, others
from tests.real import require
from tests.waiting import wait_until
from turnout.adapters.console_client import ConsoleClient
from turnout.adapters.remote import RemoteSight
from turnout.core.model import Outcome
from turnout.core.run import Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(1800)]

PROJECT = "turnout-test"
SETUP = FILE.parent / "setup/compose.sh"
SLOW = """\
pipeline:
  stages:
    - name: long
      agent: script
      with: {run: "echo begun; sleep 8; echo done"}
    - name: after
      agent: script
      with: {run: "echo after"}
  notify_on_success: true
"""


@pytest.fixture(scope="module")
def compose() -> str:
    """The folder that Docker Compose is in."""
    said = subprocess.run([SETUP, "--where"], capture_output=True, text=True, check=True).stdout.strip()
    require("Docker Compose", Path(said).exists(), "make real-parts fetches it")
    return said


@pytest.fixture(scope="module")
def environ(dockerd: Dockerd, compose: str) -> dict[str, str]:
    return {**os.environ, **dockerd.environ, "PATH": f"{compose}:{os.environ['PATH']}"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("compose") / "git", demo.HAS)


@pytest.fixture(scope="module")
def stack(dockerd: Dockerd, environ: dict[str, str], shop: Shop) -> Iterator[Stack]:
    make_ours(dockerd)
    make_stand_ins(dockerd)
    with egress(dockerd.address) as proxy:
        variables = {"AGENT_IMAGES": make_proxied(dockerd, proxy)}
        home = shop.remote.parents[1]
        home.chmod(0o755)
        asked = demo.Demo(home, environ, Images(tag="test"), PROJECT, variables)
        with demo.running(asked) as running:
            yield running


@pytest.fixture(scope="module")
def sight(stack: Stack) -> RemoteSight:
    return RemoteSight(ConsoleClient(stack.address("console", 8080), stack.state.console_token()))


def docker(stack: Stack, *arguments: str) -> str:
    done = subprocess.run(
        ["docker", *arguments], env=dict(stack.environ), capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def container(stack: Stack, service: str) -> dict[str, Any]:
    (found,) = json.loads(docker(stack, "inspect", f"{PROJECT}-{service}-1"))
    assert isinstance(found, dict)
    return found


def is_healthy(stack: Stack, service: str) -> bool:
    return bool(container(stack, service)["State"]["Health"]["Status"] == "healthy")


def test_the_file_is_valid_to_compose_and_a_slip_in_it_is_not(
    environ: dict[str, str], tmp_path: Path
) -> None:
    def checked(file: Path) -> subprocess.CompletedProcess[str]:
        command = ["docker-compose", "--file", str(file), "--profile", "*", "config", "--quiet"]
        return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)

    said = subprocess.run(
        ["docker-compose", "version", "--short"], env=environ, capture_output=True, text=True, check=True
    )
    assert said.stdout.startswith(("5.", "v5."))
    assert checked(FILE).returncode == 0
    wrong = yaml.safe_load(FILE.read_text())
    wrong["services"]["webhook"]["helthcheck"] = {}
    (tmp_path / "compose.yaml").write_text(yaml.safe_dump(wrong))
    assert "helthcheck" in checked(tmp_path / "compose.yaml").stderr


def test_the_demo_passes_on_it(stack: Stack, shop: Shop, sight: RemoteSight) -> None:
    run = sight.run(demo.play(stack, shop))
    assert run.outcome is Outcome.SUCCESS


def test_all_that_lives_is_healthy_and_none_of_it_is_root_or_can_write(stack: Stack) -> None:
    services = yaml.safe_load(FILE.read_text())["services"]
    for service in services:
        found = container(stack, service)
        if service == "migrate":
            assert (found["State"]["Status"], found["State"]["ExitCode"]) == ("exited", 0)
            continue
        wait_until(partial(is_healthy, stack, service), 60, f"{service} is healthy", poll=0.5)
        assert found["HostConfig"]["ReadonlyRootfs"], service
        status = docker(stack, "exec", found["Id"], "cat", "/proc/1/status")
        lines = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert lines["Uid"].split()[0] != "0", service
        assert lines["CapBnd"] == "0" * 16, service
        assert lines["NoNewPrivs"] == "1", service


def test_an_attempts_container_reaches_the_gateway_and_nothing_else_of_the_stack(stack: Stack) -> None:
    tried = (
        "for each in gateway:8080 console:8080 postgres:5432 redpanda:9092 engine:2375 orchestrator:8080; do "
    )
    tried += (
        'timeout 2 bash -c "exec 3<>/dev/tcp/${each%:*}/${each#*:}" 2>/dev/null && echo "$each"; done; true'
    )
    addresses = [
        f"{each['IPAddress']}:{port}"
        for service, port in (("postgres", 5432), ("engine", 2375), ("console", 8080))
        for each in container(stack, service)["NetworkSettings"]["Networks"].values()
    ]
    more = tried.replace("orchestrator:8080", " ".join(addresses))
    reached = docker(
        stack,
        "run",
        "--rm",
        "--network",
        f"{PROJECT}_jobs",
        "--entrypoint",
        "bash",
        "turnout:test",
        "-c",
        more,
    )
    assert reached.split() == ["gateway:8080"]


def test_prometheus_reads_the_console_and_knows_the_rules_and_grafana_asks_prometheus(stack: Stack) -> None:
    grafana, password = stack.address("grafana", 3000), stack.state.secret("grafana_password")

    def asked(path: str) -> Any:
        answer = httpx.get(f"{grafana}/api/{path}", auth=("admin", password), timeout=20)
        return answer.raise_for_status().json()

    assert httpx.get(f"{grafana}/api/datasources", timeout=20).status_code == 401
    (source,) = asked("datasources")
    assert [each["uid"] for each in asked("search?type=dash-db")] == ["turnout"]
    panels = asked("dashboards/uid/turnout")["dashboard"]["panels"]
    assert {each["datasource"]["uid"] for each in panels if "datasource" in each} == {source["uid"]}
    through = f"datasources/proxy/uid/{source['uid']}/api/v1"

    def value(expression: str) -> float | None:
        found = asked(f"{through}/query?query={expression}")["data"]["result"]
        return float(found[0]["value"][1]) if found else None

    wait_until(lambda: value("up") == 1, 60, "the console is scraped", poll=0.5)
    wait_until(lambda: value("sum(turnout_runs_total)") == 1, 60, "the demo's run is counted", poll=0.5)
    assert value("turnout_unaccounted") == 0
    (group,) = asked(f"{through}/rules")["data"]["groups"]
    assert len(group["rules"]) == 13
    found = asked(f"{through}/alertmanagers")["data"]["activeAlertmanagers"]
    assert [each["url"] for each in found] == ["http://alertmanager:9093/api/v2/alerts"]


def test_functions_that_are_killed_in_the_middle_of_a_run_lose_nothing(
    stack: Stack, shop: Shop, sight: RemoteSight
) -> None:
    (shop.work / "pipeline.yml").write_text(SLOW)
    mails = len(demo.mails(stack.address("mailbox", 8025)))
    id = deliver(stack.address("webhook", 8080), shop.push("Take long"))

    def labelled(*more: str) -> list[str]:
        return docker(stack, "ps", "--quiet", "--filter", f"label=turnout.run={id}", *more).split()

    wait_until(labelled, 120, "its first attempt runs", poll=0.2)
    killed = {}
    for service in (
        "orchestrator",
        "launcher",
        "gateway",
        "reporter",
        "sweeper",
        "webhook",
        "dispatcher",
        "engine",
    ):
        killed[service] = container(stack, service)["State"]["Pid"]
        os.kill(killed[service], signal.SIGKILL)

    def ended() -> Run | None:
        found = sight.run(id)
        return found if found.finished else None

    run = wait_until(ended, 240, "the run ends", poll=0.5)
    assert run is not None
    assert run.outcome is Outcome.SUCCESS, run.reason
    assert {name: stage.attempts for name, stage in run.stages.items()} == {"long": 1, "after": 1}
    assert len(labelled("--all")) == 2
    for service, pid in killed.items():
        state = container(stack, service)["State"]
        assert state["Running"], service
        assert state["Pid"] != pid, service
    slack = demo.SlackThere(stack.address("slack", 8080))
    wait_until(
        lambda: any(
            "Take long" in str(each) and "succeeded" in str(each) for each in slack.messages("deploys")
        ),
        60,
        "it is told in Slack",
        poll=0.5,
    )
    assert len(slack.messages("deploys")) == 2
    box = stack.address("mailbox", 8025)
    wait_until(lambda: len(demo.mails(box)) == mails + 1, 120, "it is told by mail", poll=0.5)


def test_there_is_a_stand_in_for_every_image_of_others() -> None:
    stages = (Path(__file__).parent / "stand_ins/Dockerfile").read_text()
    for service in others():
        assert f"FROM parts AS {'mailpit' if service == 'mailbox' else service}\n" in stages
