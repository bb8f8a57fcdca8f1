"""The Cloud Run runtime, through Google's client, against a stand-in of its API."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google.cloud import run_v2
from google.cloud.run_v2.types import Condition, Container, ResourceRequirements
from google.longrunning import operations_pb2

from tests.contracts.job_runtime import PassedJobContract, a_task
from tests.runtimes.google_platforms import IMAGES, JOBS, CloudRunHarness, serving
from turnout.adapters.memory_launches import MemoryLaunches
from turnout.adapters.settings import read_settings
from turnout.adapters.store.schema import migrate
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Runtime
from turnout.core.policy import SETTLING
from turnout.core.ports import JobState
from turnout.gateway import Passes
from turnout.runtimes.cloudrun import cloudrun_runtime
from turnout.runtimes.reserved import HOLD
from turnout.wiring import Wiring

TASK = a_task(Runtime.CLOUDRUN)


@pytest.fixture
def harness() -> Iterator[CloudRunHarness]:
    yield from serving(CloudRunHarness)


class TestCloudRunRuntime(PassedJobContract):
    @pytest.fixture
    def harness(self) -> Iterator[CloudRunHarness]:
        yield from serving(CloudRunHarness)


def test_a_run_overrides_the_environment_and_the_time_and_nothing_else(harness: CloudRunHarness) -> None:
    assert harness.open().launch(TASK)
    (asked,) = harness.rest.requests("RunJob")
    assert asked.name.endswith("/jobs/turnout-script")
    assert asked.overrides.timeout == timedelta(seconds=TASK.timeout + SETTLING)
    assert asked.overrides.task_count == 1
    (container,) = asked.overrides.container_overrides
    assert not container.args
    assert {each.name for each in container.env} == set(harness.passes.environment(TASK))


def test_an_agents_job_has_the_agents_name_as_cloud_run_allows_it(harness: CloudRunHarness) -> None:
    harness.cloud.make_job("turnout-my-agent", "registry.example.org/agents/my_agent:1")
    assert harness.open().launch(a_task(Runtime.CLOUDRUN, agent="my_agent"))


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"max_retries": 3}, "3 retries"),
        ({"service_account": ""}, "default rights"),
        ({"containers": []}, "0 containers"),
        (
            {"containers": [Container(image="registry.example.org/agents/script:0")]},
            "runs registry.example.org/agents/script:0, and TURNOUT_AGENT_IMAGES says",
        ),
        (
            {
                "containers": [
                    Container(
                        image=IMAGES.of("script"),
                        resources=ResourceRequirements(limits={"cpu": "1000m", "memory": "512Mi"}),
                    )
                ]
            },
            "has 1000m CPU and 512Mi, the task asks for 2 CPU and 1024Mi",
        ),
    ],
)
def test_a_job_that_would_not_be_what_the_task_asks_for_is_refused(
    harness: CloudRunHarness, template: dict[str, Any], said: str
) -> None:
    harness.cloud.make_job("turnout-script", **template)
    with pytest.raises(PermanentError, match=said) as refused:
        harness.open().launch(TASK.with_(resources=TASK.resources.with_(cpu=2.0, memory=2**30)))
    assert refused.value.hint
    assert harness.begun(TASK.attempt) == 0
    harness.cloud.make_job("turnout-script")
    assert harness.open().launch(TASK), "once it is mended, nobody has to wait"


def test_a_job_that_was_made_without_a_word_on_retries_would_retry(harness: CloudRunHarness) -> None:
    harness.cloud.make_job("turnout-script")
    (job,) = harness.cloud.jobs.values()
    run_v2.Job.pb(job).template.template.ClearField("max_retries")
    with pytest.raises(PermanentError, match="3 retries"):
        harness.open().launch(TASK)


def test_a_task_of_more_than_a_week_is_refused(harness: CloudRunHarness) -> None:
    with pytest.raises(PermanentError, match="168 h, the task asks for 192 h"):
        harness.open().launch(TASK.with_(timeout=8 * 24 * 3600.0))


# --- in doubt ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [500, 503, 504])
def test_a_run_whose_answer_was_lost_is_found_again_and_not_made_twice(
    harness: CloudRunHarness, code: int
) -> None:
    for _ in range(4):  # more than one page of others, before and after
        harness.open().launch(a_task(Runtime.CLOUDRUN, f"other-{harness.begun(TASK.attempt)}-{_}"))
    harness.rest.fail("RunJob", code, after=True)
    with pytest.raises(TransientError):
        harness.open().launch(TASK)
    for each in range(4):
        harness.open().launch(a_task(Runtime.CLOUDRUN, f"later-{each}"))
    with pytest.raises(TransientError, match="is being launched") as early:
        harness.open().launch(TASK)
    assert early.value.retry_after
    assert 0 < early.value.retry_after <= HOLD.total_seconds()
    assert harness.open().state(TASK.attempt).phase == "waiting", "the state finds it before any launch does"
    assert not harness.open().launch(TASK)
    assert harness.begun(TASK.attempt) == 1


def test_a_run_that_was_refused_for_want_of_quota_is_tried_again_at_once(harness: CloudRunHarness) -> None:
    harness.rest.fail("RunJob", 429)
    with pytest.raises(TransientError, match="quota"):
        harness.open().launch(TASK)
    assert harness.open().state(TASK.attempt) == JobState("unknown")
    assert harness.open().launch(TASK)


def test_nothing_is_held_when_no_connection_could_be_made(harness: CloudRunHarness) -> None:
    runtime = cloudrun_runtime(
        "projects/p/locations/l/jobs/turnout-{agent}",
        IMAGES,
        harness.passes,
        harness.launches,
        harness.clock,
        endpoint="http://127.0.0.1:1",
    )
    with pytest.raises(TransientError, match="no answer"):
        runtime.launch(TASK)
    assert harness.launches.find(TASK.attempt) is None


def test_a_missing_right_says_which_one(harness: CloudRunHarness) -> None:
    harness.rest.fail("RunJob", 403)
    with pytest.raises(PermanentError, match="runWithOverrides"):
        harness.open().launch(TASK)


def test_the_slower_of_two_launchers_ends_the_job_that_it_made(harness: CloudRunHarness) -> None:
    """It was stopped for longer than its reservation, and its request came late."""

    class Stopped(MemoryLaunches):
        def record(self, attempt: str, handle: str) -> str:
            harness.launches.record(attempt, "projects/p/locations/l/jobs/j/executions/faster")
            return harness.launches.record(attempt, handle)

    slow = Stopped()
    slow.__dict__.update(harness.launches.__dict__)
    runtime = harness.make(None, slow)
    assert not runtime.launch(TASK)
    (made,) = harness.cloud.of(TASK.attempt)
    assert made.cancelled_count == 1


# --- what became of it ------------------------------------------------------------------------------


def test_a_process_that_was_killed_says_so_and_where_its_log_is(harness: CloudRunHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.begin(TASK.attempt)
    harness.cloud.end(TASK.attempt, signal=9, message="Memory limit of 2048 MiB exceeded")
    found = runtime.state(TASK.attempt)
    assert found.reason.startswith(
        "its process ended with signal 9: Memory limit of 2048 MiB exceeded; its log: https://console."
    )
    assert found.since is not None


def test_an_image_that_cannot_be_pulled_is_the_reason(harness: CloudRunHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.cloud.refuse(
        TASK.attempt, Condition.CommonReason.CONTAINER_MISSING, "Image 'script:1'\nnot found."
    )
    found = runtime.state(TASK.attempt)
    assert (found.phase, found.reason.partition(";")[0]) == (
        "ended",
        "container missing: Image 'script:1' not found.",
    )


def test_an_execution_that_somebody_deleted_has_ended(harness: CloudRunHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.cloud.forget(TASK.attempt)
    assert runtime.state(TASK.attempt) == JobState("ended", "the execution has been deleted")
    runtime.cancel(TASK.attempt)


def test_a_cancelled_execution_says_that_it_was(harness: CloudRunHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    runtime.cancel(TASK.attempt)
    assert runtime.state(TASK.attempt).reason.startswith("cancelled;")


def test_a_cancel_that_is_refused_for_another_reason_is_said(harness: CloudRunHarness) -> None:
    runtime = harness.open()
    runtime.launch(TASK)
    harness.rest.fail("CancelExecution", 400)
    with pytest.raises(PermanentError, match="400"):
        runtime.cancel(TASK.attempt)


def test_an_attempt_of_another_runtime_is_none_of_ours(harness: CloudRunHarness) -> None:
    now = harness.clock.now()
    harness.launches.reserve(TASK.attempt, "cloudbuild", now, now + HOLD)
    harness.launches.record(TASK.attempt, "projects/p/locations/l/builds/1")
    runtime = harness.open()
    assert runtime.state(TASK.attempt) == JobState("unknown")
    runtime.cancel(TASK.attempt)
    assert not harness.rest.seen


@pytest.mark.parametrize("given", ["", "turnout-{agent}", "projects/p/locations/l/jobs/turnout"])
def test_a_pattern_that_names_no_jobs_is_refused(given: str, harness: CloudRunHarness) -> None:
    with pytest.raises(PermanentError, match="TURNOUT_CLOUDRUN_JOBS"):
        cloudrun_runtime(given, IMAGES, harness.passes, harness.launches, harness.clock)


def test_no_credentials_are_a_setting_that_is_missing(
    harness: CloudRunHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "/nowhere/key.json")
    passes = Passes("https://gateway.example.org", b"key", harness.clock)
    runtime = cloudrun_runtime(
        "projects/p/locations/l/jobs/turnout-{agent}", IMAGES, passes, harness.launches, harness.clock
    )
    with pytest.raises(PermanentError, match="we could not sign in"):
        runtime.launch(TASK)
    assert harness.launches.find(TASK.attempt) is None


def test_the_launcher_is_wired_to_cloud_run_and_cloud_build_by_its_settings(
    harness: CloudRunHarness, tmp_path: Path
) -> None:
    environ = {
        "TURNOUT_HOME": str(tmp_path),
        "TURNOUT_GATEWAY_URL": "https://gateway.example.org",
        "TURNOUT_LAUNCHER_RUNTIMES": "cloudrun,cloudbuild",
        "TURNOUT_CLOUDRUN_JOBS": JOBS,
        "TURNOUT_CLOUDRUN_ENDPOINT": harness.cloud.url,
        "TURNOUT_CLOUDBUILD_PARENT": "projects/shop-ci/locations/europe-west1",
        "TURNOUT_CLOUDBUILD_SERVICE_ACCOUNT": "projects/shop-ci/serviceAccounts/a@shop-ci.iam.gserviceaccount.com",
    }
    settings = read_settings(environ)
    migrate(settings.store_url)
    wiring = Wiring(settings)
    assert set(wiring.launcher.runtimes) == {Runtime.CLOUDRUN, Runtime.CLOUDBUILD}
    launched = wiring.launcher.runtimes[Runtime.CLOUDRUN]
    assert launched.launch(TASK)
    assert Wiring(settings).launcher.runtimes[Runtime.CLOUDRUN].launch(TASK) is False
    assert harness.begun(TASK.attempt) == 1
    assert launched.state(TASK.attempt).phase == "waiting"
    wiring.store.close()


def test_googles_clients_are_loaded_when_something_is_launched_and_not_before() -> None:
    program = (
        "import sys, turnout.wiring, turnout.runtimes.cloudrun, turnout.runtimes.cloudbuild, agents.build.cloudbuild;"
        "sys.exit(any(name.startswith(('google.api_core', 'google.cloud.', 'grpc')) for name in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_a_run_whose_execution_is_not_named_is_in_doubt(
    harness: CloudRunHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("local.google.cloud_run._operation", lambda _: operations_pb2.Operation(name="x"))
    with pytest.raises(TransientError, match="no execution was named"):
        harness.open().launch(TASK)
    harness.clock.redelivered()
    assert not harness.open().launch(TASK)
    assert harness.begun(TASK.attempt) == 1
