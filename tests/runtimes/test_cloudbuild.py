"""The Cloud Build runtime, through Google's client, against a stand-in of its API."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from google.cloud.devtools.cloudbuild_v1 import Build, BuildOptions

from local.google.cloud_build import ACCOUNT, PARENT
from tests.contracts.job_runtime import PassedJobContract, a_task
from tests.runtimes.google_platforms import IMAGES, CloudBuildHarness, serving
from turnout.core.errors import PermanentError, TransientError
from turnout.core.images import Images
from turnout.core.model import Runtime
from turnout.core.plan import Resources
from turnout.core.policy import SETTLING
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.cloudbuild import cloudbuild_runtime
from turnout.runtimes.google_builds import machine

TASK = a_task(Runtime.CLOUDBUILD)
GIB = 2**30


@pytest.fixture
def harness() -> Iterator[CloudBuildHarness]:
    yield from serving(CloudBuildHarness)


class TestCloudBuildRuntime(PassedJobContract):
    @pytest.fixture
    def harness(self) -> Iterator[CloudBuildHarness]:
        yield from serving(CloudBuildHarness)


def test_a_build_has_one_step_which_is_the_agents_image(harness: CloudBuildHarness) -> None:
    assert harness.open().launch(TASK)
    (asked,) = harness.rest.requests("CreateBuild")
    assert asked.parent == PARENT
    build = asked.build
    (step,) = build.steps
    assert step.name == IMAGES.of("script")
    assert build.timeout == timedelta(seconds=TASK.timeout + SETTLING)
    assert build.queue_ttl == timedelta(seconds=harness.passes.timing.launch)
    assert list(build.tags) == [f"attempt-{TASK.attempt}", "turnout-script"]
    assert build.service_account == ACCOUNT
    assert not build.source


def test_what_cloud_build_would_replace_in_a_variable_is_left_as_it_is(harness: CloudBuildHarness) -> None:
    harness.passes = Passes("https://gateway.example.org/$ROOT", b"key", harness.clock)
    assert harness.open().launch(TASK)
    assert harness.environment(TASK.attempt)["TURNOUT_GATEWAY_URL"] == "https://gateway.example.org/$ROOT"


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        (0, 0, "UNSPECIFIED"),
        (0.5, 0, "E2_MEDIUM"),
        (0, 5 * GIB, "E2_STANDARD_2"),
        (2, 8 * GIB, "E2_STANDARD_2"),
        (3, GIB, "E2_HIGHCPU_8"),
        (2, 9 * GIB, "E2_HIGHCPU_32"),
    ],
)
def test_the_smallest_machine_that_is_large_enough_is_taken(cpu: float, memory: int, expected: str) -> None:
    found = machine(Resources(cpu=cpu, memory=memory))
    assert found == expected
    assert found in BuildOptions.MachineType.__members__


def test_the_machine_goes_with_the_build(harness: CloudBuildHarness) -> None:
    harness.open().launch(TASK.with_(resources=Resources(cpu=8)))
    (asked,) = harness.rest.requests("CreateBuild")
    assert asked.build.options.machine_type == BuildOptions.MachineType.E2_HIGHCPU_8


def test_a_private_pools_machines_are_the_pools_own(harness: CloudBuildHarness) -> None:
    harness.pool = f"{PARENT}/workerPools/large"
    assert harness.open().launch(TASK.with_(resources=Resources(cpu=64)))
    (asked,) = harness.rest.requests("CreateBuild")
    assert asked.build.options.pool.name == harness.pool
    assert asked.build.options.machine_type == BuildOptions.MachineType.UNSPECIFIED


def test_a_task_of_more_than_a_day_is_refused(harness: CloudBuildHarness) -> None:
    with pytest.raises(PermanentError, match="may take 24 h, the task asks for 24 h"):
        harness.open().launch(TASK.with_(timeout=24 * 3600.0))
    assert harness.launches.find(TASK.attempt) is None


def test_an_agent_without_an_image_is_refused(harness: CloudBuildHarness) -> None:
    runtime = cloudbuild_runtime(
        PARENT, Images(), harness.passes, harness.launches, harness.clock, service_account=ACCOUNT
    )
    with pytest.raises(PermanentError, match="no image is known for the agent script"):
        runtime.launch(TASK)


@pytest.mark.parametrize("code", [500, 503, 504])
def test_a_build_whose_answer_was_lost_is_found_by_its_tag(harness: CloudBuildHarness, code: int) -> None:
    harness.rest.fail("CreateBuild", code, after=True)
    with pytest.raises(TransientError):
        harness.open().launch(TASK)
    with pytest.raises(TransientError, match="is being launched"):
        harness.open().launch(TASK)
    harness.clock.redelivered()
    assert not harness.open().launch(TASK)
    assert harness.begun(TASK.attempt) == 1
    harness.begin(TASK.attempt)
    assert harness.open().state(TASK.attempt) == JobState("running")


def test_a_build_in_doubt_that_was_never_made_is_made(harness: CloudBuildHarness) -> None:
    harness.rest.fail("CreateBuild", 503)
    with pytest.raises(TransientError):
        harness.open().launch(TASK)
    assert harness.open().state(TASK.attempt) == JobState("waiting", "it is being launched")
    harness.clock.redelivered()
    assert harness.open().state(TASK.attempt) == JobState("unknown")
    assert harness.open().launch(TASK)
    assert harness.begun(TASK.attempt) == 1


def test_a_build_in_doubt_can_be_cancelled(harness: CloudBuildHarness) -> None:
    harness.rest.fail("CreateBuild", 503, after=True)
    with pytest.raises(TransientError):
        harness.open().launch(TASK)
    harness.open().cancel(TASK.attempt)
    (build,) = harness.cloud.of(TASK.attempt)
    assert build.status == Build.Status.CANCELLED


@pytest.mark.parametrize(
    ("status", "more", "said"),
    [
        ("SUCCESS", {}, "it has come to its end"),
        (
            "FAILURE",
            {"code": 137, "detail": "step 0\nfailed"},
            "step script ended with status 137: step 0 failed",
        ),
        ("INTERNAL_ERROR", {}, "Cloud Build failed in itself"),
        ("TIMEOUT", {}, "it took longer than its time"),
        ("CANCELLED", {}, "it was cancelled"),
        ("EXPIRED", {"detail": "no capacity"}, "no machine was free for it in time: no capacity"),
        ("FAILURE", {"detail": "failed to pull image"}, "it failed: failed to pull image"),
    ],
)
def test_why_it_ended_is_said_in_one_line(
    harness: CloudBuildHarness, status: str, more: dict[str, Any], said: str
) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.begin(TASK.attempt)
    harness.cloud.end(TASK.attempt, status, **more)
    found = runtime.state(TASK.attempt)
    assert found.phase == "ended"
    assert found.reason.partition("; its log: https://console.")[0] == said
    assert found.since is not None


def test_a_build_that_is_gone_has_ended(harness: CloudBuildHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.cloud.builds.clear()
    assert runtime.state(TASK.attempt) == JobState("ended", "the build is not there any more")
    runtime.cancel(TASK.attempt)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"parent": "shop"}, "TURNOUT_CLOUDBUILD_PARENT"),
        ({"service_account": ""}, "TURNOUT_CLOUDBUILD_SERVICE_ACCOUNT"),
        ({"pool": "large"}, "TURNOUT_CLOUDBUILD_POOL"),
    ],
)
def test_a_setting_that_is_no_name_is_refused(
    harness: CloudBuildHarness, changed: dict[str, str], said: str
) -> None:
    given: dict[str, Any] = {"parent": PARENT, "service_account": ACCOUNT} | changed
    parent = given.pop("parent")
    with pytest.raises(PermanentError, match=said):
        cloudbuild_runtime(parent, IMAGES, harness.passes, harness.launches, harness.clock, **given)
