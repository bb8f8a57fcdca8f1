"""The whole loop with containers: the agents' own images, as `make images` builds them, on a real Docker Engine."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from local.docker.daemon import Dockerd
from tests.agent_images import PATTERN, make_images
from tests.e2e.system import REPOSITORY, System
from tests.git_http import serving
from tests.waiting import wait_until
from turnout.core.artifact_keys import attempt_key
from turnout.core.model import Outcome
from turnout.core.run import Attempt, Run

pytestmark = [pytest.mark.real, pytest.mark.timeout(600)]

SECRET = "s3cret of the project"
SAMPLE = Path(__file__).resolve().parents[2] / "local/sample"
SEARCH = """\
echo the token is $TOKEN
env | sort
for each in /proc/[0-9]*; do cat $each/environ 2>/dev/null || true; done | tr '\\0' '\\n' | sort
id -u
touch /etc/x 2>/dev/null && echo wrote to the root
for each in $(seq 200); do echo line $each; done
find / -xdev '(' -name '*.key' -o -name 'turnout.db*' -o -name '.docker' ')' 2>/dev/null || true
mkdir -p out
echo kept > out/a.txt
"""


@pytest.fixture(scope="module")
def script_image(dockerd: Dockerd) -> str:
    return make_images(dockerd, ["script"])["script"]


@pytest.fixture
def begin(
    tmp_path: Path, dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., System]]:
    """A system whose gateway and repository containers reach. ``network``: the containers'; empty: the bridge."""
    with ExitStack() as stack:

        def start(files: dict[str, str], network: str = "", more: str = "") -> System:
            address = "127.0.0.1" if network == "host" else dockerd.address
            settings = {
                **dockerd.environ,
                "TURNOUT_LAUNCHER_RUNTIMES": "docker",
                "TURNOUT_AGENT_IMAGES": PATTERN,
                "TURNOUT_DOCKER_NETWORK": network,
                "TURNOUT_DOCKER_PULL": "never",
                "TURNOUT_NODE": "e2e",
                "DOCKER_TEST_TOKEN": SECRET,
            }
            system = stack.enter_context(System(tmp_path, settings, ["--host", address]))
            system.make_repository(files)
            url = stack.enter_context(serving(tmp_path, address))
            project = system.wiring.settings.projects_folder / "shop.yml"
            project.write_text(f"project:\n  repository: {REPOSITORY}\n  clone_url: {url}/work\n{more}")
            system.start()
            return system

        yield start
    for each in containers(dockerd):
        docker(dockerd, "rm", "--force", "--volumes", each)


def docker(dockerd: Dockerd, *arguments: str) -> str:
    environ = {**os.environ, **dockerd.environ}
    return subprocess.run(
        ["docker", *arguments], env=environ, capture_output=True, text=True, check=True
    ).stdout.strip()


def containers(dockerd: Dockerd) -> list[str]:
    return docker(dockerd, "ps", "--all", "--quiet", "--filter", "label=turnout.owner=e2e").split()


def inspected(dockerd: Dockerd, container: str) -> dict[str, Any]:
    (found,) = json.loads(docker(dockerd, "inspect", container))
    assert isinstance(found, dict)
    return found


def pipeline(stage: str) -> str:
    return (
        f"pipeline:\n  stages:\n    - name: only\n      runtime: docker\n{stage}  retry_on_failure: false\n"
    )


def attempts(run: Run) -> list[Attempt]:
    return [attempt for task in run.stages["only"].tasks.values() for attempt in task.attempts]


def test_an_image_says_that_it_is_whole(dockerd: Dockerd, script_image: str) -> None:
    held = [
        "--read-only",
        "--cap-drop=ALL",
        "--security-opt=no-new-privileges",
        "--tmpfs=/tmp",
        "--volume=/var/tmp",
    ]
    said = docker(
        dockerd,
        "run",
        "--rm",
        "--network=none",
        *held,
        script_image,
        "python",
        "-m",
        "agents.sdk.job",
        "--health",
    ).splitlines()
    assert said[0] == "agent script"
    assert [line.split(":")[0] for line in said[1:3]] == ["git", "bwrap"]
    assert "all of it is held in by its container: no privilege of the kernel" in said[-1]
    labels = inspected(dockerd, script_image)["Config"]["Labels"]
    assert labels["org.opencontainers.image.title"] == "turnout-script"
    assert len(labels["org.opencontainers.image.revision"]) == 40
    assert inspected(dockerd, script_image)["Config"]["User"] == "10001:10001"


def test_an_attempt_runs_in_its_own_image_and_has_no_credential_but_its_pass(
    dockerd: Dockerd, script_image: str, begin: Callable[..., System]
) -> None:
    stage = (
        "      agent: script\n      secrets: [TOKEN]\n      timeout: 2m\n"
        '      with: {run: "sh look.sh", artifacts: ["out/*.txt"]}\n'
    )
    bound = "  secrets:\n    TOKEN: {env: DOCKER_TEST_TOKEN}\n"
    system = begin({"pipeline.yml": pipeline(stage), "look.sh": SEARCH}, more=bound)
    id = system.deliver()
    (run,) = system.wait_for([id])
    assert run.outcome is Outcome.SUCCESS, run.reason
    (attempt,) = attempts(run)
    assert attempt.result is not None
    assert "no sandbox: bubblewrap does not work here" in attempt.result.sandbox
    assert "held in by its container: no privilege of the kernel and no way to one" in attempt.result.sandbox
    artifacts = system.wiring.artifacts
    (kept,) = attempt.result.artifacts
    assert artifacts.get(kept.key) == b"kept\n"

    (container,) = containers(dockerd)
    found = inspected(dockerd, container)
    given = dict(each.split("=", 1) for each in found["Config"]["Env"])
    of_image = dict(each.split("=", 1) for each in inspected(dockerd, script_image)["Config"]["Env"])

    log = artifacts.get(attempt_key(id, "only", 1)).decode()
    assert "the token is ***" in log
    assert SECRET not in log
    assert [line for line in log.splitlines() if line.startswith("line ")] == [
        f"line {number}" for number in range(1, 201)
    ]
    assert "\n10001\n" in log
    assert "wrote to the root" not in log
    assert given["TURNOUT_ATTEMPT_TOKEN"] not in log
    for name in (
        "TURNOUT_ATTEMPT_TOKEN=v1.",
        "TURNOUT_SLACK",
        "TURNOUT_WEBHOOK",
        "DOCKER_HOST",
        ".key",
        "turnout.db",
    ):
        assert name not in log, name

    assert set(given) - set(of_image) == {"TURNOUT_GATEWAY_URL", "TURNOUT_ATTEMPT", "TURNOUT_ATTEMPT_TOKEN"}
    assert given["TURNOUT_ATTEMPT"] == attempt.id
    assert [each["Type"] for each in found["Mounts"]] == ["volume"]
    wait_until(lambda: not inspected(dockerd, container)["State"]["Running"], 40, "its container has ended")
    assert inspected(dockerd, container)["State"]["ExitCode"] == 0


def test_a_cancelled_run_ends_its_container_and_says_cancelled(
    dockerd: Dockerd, script_image: str, begin: Callable[..., System]
) -> None:
    stage = '      agent: script\n      with: {run: "echo begun; sleep 300"}\n'
    system = begin({"pipeline.yml": pipeline(stage)})
    id = system.deliver()

    def begun() -> bool:
        found = containers(dockerd)
        return bool(found) and "sleep" in docker(dockerd, "top", found[0])

    wait_until(begun, 90, "the tool runs", poll=0.2)
    run = system.run(id)
    assert run is not None
    system.wiring.commands.cancel(run, "ada", "not needed")
    (ended,) = system.wait_for([id])
    assert ended.outcome is Outcome.CANCELLED
    (attempt,) = attempts(ended)
    assert attempt.result is not None
    assert (attempt.result.outcome, attempt.by) == (Outcome.CANCELLED, "agent")
    (container,) = containers(dockerd)
    wait_until(lambda: not inspected(dockerd, container)["State"]["Running"], 40, "its container has ended")


def test_the_samples_tests_run_in_the_image_of_the_test_agent(
    dockerd: Dockerd, begin: Callable[..., System]
) -> None:
    """In the machine's own network, as its pytest comes from a package registry."""
    make_images(dockerd, ["test"])
    files = {
        str(path.relative_to(SAMPLE)): path.read_text()
        for path in SAMPLE.rglob("*")
        if path.is_file() and path.suffix in (".py", ".toml", ".txt")
    }
    stage = (
        "      agent: test\n      timeout: 5m\n      retries: {max: 1}\n      with: {retry: failed-tests}\n"
    )
    system = begin(files | {"pipeline.yml": pipeline(stage)}, network="host")
    (run,) = system.wait_for([system.deliver()], within=300)
    outcomes = [
        (each.result and each.result.outcome, each.result and each.result.reason) for each in attempts(run)
    ]
    assert run.outcome is Outcome.SUCCESS, outcomes
    last = attempts(run)[-1].result
    assert last is not None
    assert last.tests is not None
    assert len(containers(dockerd)) == len(attempts(run))
