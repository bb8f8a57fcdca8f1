"""The docker runtime on a real Docker Engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from local.docker.daemon import Dockerd
from tests.contracts.job_runtime import PassedJobContract, a_task
from tests.runtimes.docker_jobs import DOCKERFILE, IMAGE, DockerJobs, make_image
from tests.waiting import wait_until
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Runtime
from turnout.core.plan import Resources
from turnout.runtimes import docker as docker_runtime
from turnout.runtimes.docker import DockerSettings, connect


@pytest.fixture(scope="module")
def image(dockerd: Dockerd) -> str:
    client = connect(dockerd.environ)
    make_image(client)
    client.close()
    return IMAGE


@pytest.fixture
def harness(dockerd: Dockerd, image: str) -> Iterator[DockerJobs]:
    made = DockerJobs(dockerd)
    yield made
    made.close()


class TestDockerRuntime(PassedJobContract):
    @pytest.fixture
    def harness(self, dockerd: Dockerd, image: str) -> Iterator[DockerJobs]:
        made = DockerJobs(dockerd)
        yield made
        made.close()


def launched(harness: DockerJobs, settings: DockerSettings | None = None, **more: Any) -> str:
    task = a_task(Runtime.DOCKER, **more)
    assert harness.open(settings=settings).launch(task)
    return task.attempt


def test_a_container_can_do_nothing_but_its_work(harness: DockerJobs) -> None:
    attempt = launched(harness)
    status = dict(
        line.split(":\t", 1)
        for line in harness.inside(attempt, "cat", "/proc/1/status").splitlines()
        if ":\t" in line
    )
    assert status["Uid"].split() == ["10001"] * 4
    assert {status[each] for each in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    tries = "touch /x; touch /bin/x; cp /bin/busybox /tmp/sh && /tmp/sh -c 'echo runs'"
    said = harness.inside(attempt, "sh", "-c", tries)
    assert said.count("Read-only file system") == 2
    assert "runs\n" in said
    found = harness.inspected(attempt)
    assert found["HostConfig"]["RestartPolicy"]["Name"] == "no"
    assert found["HostConfig"]["LogConfig"]["Config"] == {"max-size": "1m", "max-file": "2"}
    assert not [each for each in found["Mounts"] if each["Type"] == "bind"]


def test_limits_are_those_of_the_task_or_else_those_of_the_settings(harness: DockerJobs) -> None:
    usual = DockerSettings(owner="tests", pull="never", memory=64 * 1024**2, cpus=0.5, pids=77)
    asks = launched(harness, usual, name="asks", resources=Resources(cpu=1.5, memory=32 * 1024**2))
    asks_nothing = launched(harness, usual, name="nothing")
    limits = [
        (config["Memory"], config["MemorySwap"], config["NanoCpus"], config["PidsLimit"])
        for config in (harness.inspected(each)["HostConfig"] for each in (asks, asks_nothing))
    ]
    assert limits == [
        (32 * 1024**2, 32 * 1024**2, 1_500_000_000, 77),
        (64 * 1024**2, 64 * 1024**2, 500_000_000, 77),
    ]


def test_a_job_that_needs_too_much_memory_is_said_to_have_needed_it(
    harness: DockerJobs, dockerd: Dockerd
) -> None:
    hungry = DOCKERFILE[: DOCKERFILE.index("ENTRYPOINT")] + 'ENTRYPOINT ["/bin/tail", "/dev/zero"]\n'
    make_image(harness.client, IMAGE + "-hungry", hungry)
    runtime = harness.open()
    runtime._images = type(runtime._images)(named={"script": IMAGE + "-hungry"})
    task = a_task(Runtime.DOCKER, "hungry", resources=Resources(memory=16 * 1024**2))
    assert runtime.launch(task)
    wait_until(lambda: runtime.state(task.attempt).phase == "ended", 40)
    assert "more memory was needed than its limit of 16 MiB" in runtime.state(task.attempt).reason


def test_the_last_lines_of_a_job_that_failed_are_told(harness: DockerJobs) -> None:
    attempt = launched(harness)
    wait_until(lambda: harness.open().state(attempt).phase == "running", 20)
    harness.end(attempt, status=3)
    state = wait_until(
        lambda: found if (found := harness.open().state(attempt)).phase == "ended" else None, 20
    )
    assert state is not None
    assert (state.reason, state.log) == ("its container ended with status 3", "begun\n")


def test_a_container_is_in_the_network_that_is_set_and_reaches_this_machine_by_its_usual_name(
    harness: DockerJobs,
) -> None:
    network = harness.client.create_network("turnout-test-net", driver="bridge")["Id"]
    try:
        settings = DockerSettings(owner="tests", pull="never", network="turnout-test-net")
        attempt = launched(harness, settings)
        assert list(harness.inspected(attempt)["NetworkSettings"]["Networks"]) == ["turnout-test-net"]
        harness.open().cancel(attempt)
    finally:
        for each in harness.client.containers(all=True, filters={"label": "turnout.owner=tests"}):
            harness.client.remove_container(each["Id"], force=True, v=True)
        harness.client.remove_network(network)


def test_a_network_that_is_not_there_is_no_reason_to_try_again(harness: DockerJobs) -> None:
    settings = DockerSettings(owner="tests", pull="never", network="nobody-made-it")
    task = a_task(Runtime.DOCKER)
    with pytest.raises(PermanentError, match=r"nobody-made-it not found.*TURNOUT_DOCKER_"):
        harness.open(settings=settings).launch(task)
    state = harness.open().state(task.attempt)
    assert (state.phase, "nobody-made-it" in state.reason) == ("ended", True)


def test_an_image_that_is_missing_is_pulled_and_a_registry_that_is_away_is_tried_again(
    harness: DockerJobs,
) -> None:
    runtime = harness.open(settings=DockerSettings(owner="tests", pull="missing"))
    runtime._images = type(runtime._images)(named={"script": "127.0.0.1:1/turnout-script:1"})
    with pytest.raises(TransientError, match=r"127\.0\.0\.1:1"):
        runtime.launch(a_task(Runtime.DOCKER))
    never = harness.open()
    never._images = runtime._images
    with pytest.raises(PermanentError, match="has no image 127"):
        never.launch(a_task(Runtime.DOCKER))


def test_what_was_made_and_never_begun_goes_when_it_is_cancelled(harness: DockerJobs) -> None:
    task = a_task(Runtime.DOCKER)
    runtime = harness.open()
    harness.client.create_container(
        IMAGE,
        name=runtime.name(task.attempt),
        labels={"turnout.attempt": task.attempt, "turnout.owner": "tests"},
    )
    assert runtime.state(task.attempt).phase == "waiting"
    runtime.cancel(task.attempt)
    assert runtime.state(task.attempt).phase == "unknown"


def test_what_takes_long_to_end_gets_its_time_though_nobody_waits_for_it(
    harness: DockerJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deployment that is rolled back; docker-py waits 10 s longer than it is told to."""
    monkeypatch.setattr("turnout.runtimes.docker.ANSWER_WITHIN", 0.5)
    monkeypatch.setattr("turnout.runtimes.docker.GRACE", 13)
    deaf = DOCKERFILE.replace("trap 'exit 143' TERM", "trap 'echo told' TERM")
    make_image(harness.client, IMAGE + "-deaf", deaf)
    runtime = harness.open()
    runtime._images = type(runtime._images)(named={"script": IMAGE + "-deaf"})
    task = a_task(Runtime.DOCKER, "deaf")
    assert runtime.launch(task)
    runtime.cancel(task.attempt)
    assert runtime.state(task.attempt).phase == "running"
    wait_until(lambda: runtime.state(task.attempt).phase == "ended", 30)
    state = runtime.state(task.attempt)
    assert (state.reason, state.log) == ("its container was ended by SIGKILL", "begun\ntold\n")


def test_only_what_has_an_environment_may_take_long_to_end(harness: DockerJobs) -> None:
    times = [
        harness.inspected(launched(harness, name=f"to-{name}", environment=name))["Config"]["StopTimeout"]
        for name in ("", "production")
    ]
    assert times == [docker_runtime.GRACE, docker_runtime.GRACE + docker_runtime.UNDO]


def test_a_container_of_somebody_else_is_left_alone(harness: DockerJobs) -> None:
    task = a_task(Runtime.DOCKER)
    name = harness.open().name(task.attempt)
    made = harness.client.create_container(IMAGE, name=name, labels={"turnout.owner": "tests"})["Id"]
    with pytest.raises(PermanentError, match="is not of attempt"):
        harness.open().launch(task)
    assert harness.client.inspect_container(made)["State"]["Status"] == "created"


def test_containers_that_ended_long_ago_are_removed_with_what_they_wrote(
    harness: DockerJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = launched(harness, name="first"), launched(harness, name="second")
    harness.end(first)
    wait_until(lambda: harness.open().state(first).phase == "ended", 20)
    volumes = {each["Name"] for each in harness.client.volumes()["Volumes"] or ()}
    launched(harness, name="third")
    assert harness.open().state(first).phase == "ended", "a record of its task may still come"
    later = time.time() + docker_runtime.KEPT + 60
    monkeypatch.setattr("turnout.runtimes.docker.time.time", lambda: later)
    launched(harness, name="fourth")
    assert harness.open().state(first).phase == "unknown"
    assert harness.open().state(second).phase == "running", "it runs for long, and is not over"
    left = {each["Name"] for each in harness.client.volumes()["Volumes"] or ()}
    assert len(volumes - left) == 1
