"""What became of a Job is read from what the API server shows of it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from turnout.core.ports import JobState
from turnout.runtimes.kubernetes_manifest import CANCELLED
from turnout.runtimes.kubernetes_state import newest, state_of, wants_log

AT = "2026-03-01T10:00:00Z"
INSTANT = datetime(2026, 3, 1, 10, tzinfo=UTC)


def job(*conditions: dict[str, Any], cancelled: bool = False) -> dict[str, Any]:
    return {
        "metadata": {"annotations": {CANCELLED: "true"} if cancelled else {}},
        "spec": {"activeDeadlineSeconds": 90},
        "status": {"conditions": list(conditions)},
    }


def condition(kind: str, reason: str = "", message: str = "", status: str = "True") -> dict[str, Any]:
    return {"type": kind, "status": status, "reason": reason, "message": message, "lastTransitionTime": AT}


def pod(
    phase: str, *, created: str = AT, limits: dict[str, str] | None = None, **status: Any
) -> dict[str, Any]:
    return {
        "metadata": {"creationTimestamp": created},
        "spec": {"containers": [{"resources": {"limits": limits or {}}}]},
        "status": {"phase": phase, **status},
    }


def terminated(code: int, reason: str = "Error", **more: Any) -> list[dict[str, Any]]:
    return [{"state": {"terminated": {"exitCode": code, "reason": reason, "finishedAt": AT, **more}}}]


FAILED = condition("Failed", "BackoffLimitExceeded", "Job has reached the specified backoff limit")


def test_a_job_without_a_pod_waits_and_says_for_what() -> None:
    assert state_of(job(), None) == JobState("waiting", "its pod is not made yet")
    assert state_of(job(), None, ["old", "pods is\nforbidden"]) == JobState("waiting", "pods is forbidden")


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pod("Pending"), "its container is being made"),
        (
            pod("Pending", conditions=[condition("PodScheduled", "Unschedulable", "0/2 nodes", "False")]),
            "Unschedulable: 0/2 nodes",
        ),
        (
            pod(
                "Pending",
                containerStatuses=[{"state": {"waiting": {"reason": "ErrImagePull", "message": "no"}}}],
            ),
            "ErrImagePull: no",
        ),
        (
            pod("Pending", containerStatuses=[{"state": {"waiting": {"reason": "ContainerCreating"}}}]),
            "its container is being made",
        ),
    ],
)
def test_a_pending_pod_is_a_job_that_waits(found: dict[str, Any], reason: str) -> None:
    assert state_of(job(), found) == JobState("waiting", reason)


@pytest.mark.parametrize("phase", ["Running", "Unknown"])
def test_a_pod_that_runs_or_whose_node_is_silent_is_a_job_that_runs(phase: str) -> None:
    assert state_of(job(), pod(phase)) == JobState("running")


def test_a_complete_job_has_ended_well_with_or_without_its_pod() -> None:
    for each in (None, pod("Succeeded")):
        state = state_of(job(condition("Complete")), each)
        assert state == JobState("ended", "its pod has come to its end", INSTANT)


def test_a_condition_that_is_not_so_does_not_count() -> None:
    assert state_of(job(condition("Failed", status="False")), pod("Running")).phase == "running"


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (pod("Failed", containerStatuses=terminated(3)), "its container ended with status 3"),
        (pod("Failed", containerStatuses=terminated(137)), "its container was ended by SIGKILL"),
        (pod("Failed", containerStatuses=terminated(250)), "its container ended with status 250"),
        (
            pod("Failed", containerStatuses=terminated(137, "OOMKilled")),
            "more memory was needed than there was (raise the stage's `resources: {memory: …}`)",
        ),
        (
            pod("Failed", containerStatuses=terminated(137, "OOMKilled"), limits={"memory": str(2**26)}),
            "more memory was needed than its limit of 64 MiB (raise the stage's `resources: {memory: …}`)",
        ),
        (
            pod("Failed", containerStatuses=terminated(128, "StartError", message="no such\nprogram")),
            "its container could not run (StartError): no such program",
        ),
        (
            pod("Failed", reason="Evicted", message="Pod ephemeral storage exceeds 1Gi"),
            "its pod was ended (Evicted): Pod ephemeral storage exceeds 1Gi",
        ),
        (
            pod("Failed", conditions=[condition("DisruptionTarget", "PreemptionByScheduler", "make room")]),
            "its pod was evicted (PreemptionByScheduler): make room",
        ),
        (pod("Failed"), "its pod failed"),
    ],
)
def test_a_failed_pod_says_why_before_and_after_its_job_does(found: dict[str, Any], reason: str) -> None:
    assert state_of(job(), found).reason == reason
    assert state_of(job(FAILED), found).reason == reason
    assert state_of(job(), found).phase == state_of(job(FAILED), found).phase == "ended"


def test_a_deleted_pod_is_told_from_one_that_failed() -> None:
    deleted = pod("Failed", containerStatuses=terminated(143))
    deleted["metadata"]["deletionTimestamp"] = AT
    assert state_of(job(), deleted).reason == "its pod was deleted, and its container ended with status 143"


def test_a_failed_job_whose_pod_is_gone_says_what_its_condition_does() -> None:
    taken = condition("Failed", "PodFailurePolicy", "Pod x has condition DisruptionTarget")
    assert state_of(job(FAILED), None).reason == "its pod is gone"
    assert state_of(job(taken), None).reason == "its pod was taken away: Pod x has condition DisruptionTarget"
    late = condition("Failed", "DeadlineExceeded")
    assert state_of(job(late), None).reason == "it took longer than all its limits together, 90 s"


def test_who_cancelled_it_comes_before_how_that_was_done() -> None:
    late = condition("Failed", "DeadlineExceeded")
    assert state_of(job(late, cancelled=True), None).reason == "it was cancelled"
    ended = pod("Failed", containerStatuses=terminated(143))
    assert state_of(job(cancelled=True), ended).reason == "it was cancelled"


def test_last_lines_are_wanted_of_a_pod_that_failed_and_cut_at_their_beginning() -> None:
    failed = pod("Failed", containerStatuses=terminated(1))
    assert wants_log(job(), failed)
    assert wants_log(job(FAILED), pod("Running"))
    assert not wants_log(job(), pod("Running"))
    assert not wants_log(job(FAILED), None)
    log = state_of(job(), failed, said="x" * 5000 + "the end").log
    assert len(log) == 4000
    assert log.endswith("the end")


def test_of_more_than_one_pod_the_newest_counts() -> None:
    old, new = pod("Failed", created="2026-03-01T09:00:00Z"), pod("Running")
    assert newest([new, old]) is new
    assert newest([]) is None


def test_a_reason_is_one_line_of_some_length() -> None:
    state = state_of(job(), pod("Failed", reason="Evicted", message="word\n" * 500))
    assert len(state.reason) <= 300
    assert "\n" not in state.reason


def test_a_time_that_is_none_is_not_known() -> None:
    assert state_of(job(), pod("Failed", containerStatuses=terminated(1, finishedAt=None))).since is None
