"""What became of an attempt's Job, by what the API server shows of it and of its pods.

Source: Kubernetes API reference, JobStatus and PodStatus; "Jobs", on conditions and the pod failure policy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from turnout.core.ports import JobState
from turnout.runtimes.job_words import one_line, signal_name
from turnout.runtimes.kubernetes_manifest import CANCELLED

Object = Mapping[str, Any]
LONGEST_LOG = 4000  # characters


def newest(pods: Sequence[Object]) -> Object | None:
    """There is one pod to a Job; where there were more all the same, the last one counts."""
    return max(pods, key=lambda each: str(each["metadata"].get("creationTimestamp", "")), default=None)


def state_of(job: Object, pod: Object | None, warnings: Sequence[str] = (), said: str = "") -> JobState:
    """``warnings``: what is said of a Job without a pod. ``said``: the last lines of its output."""
    log = said[-LONGEST_LOG:]
    conditions = {
        each["type"]: each for each in job["status"].get("conditions", ()) if each["status"] == "True"
    }
    if "Complete" in conditions:
        return JobState("ended", "its pod has come to its end", _instant(conditions["Complete"]), log)
    if failed := conditions.get("Failed"):
        return JobState("ended", _why_failed(job, failed, pod), _instant(failed), log)
    if pod is None:
        return JobState("waiting", one_line(warnings[-1]) if warnings else "its pod is not made yet")
    match pod["status"].get("phase", "Pending"):
        case "Pending":
            return JobState("waiting", _waits_for(pod))
        case "Succeeded":
            return JobState("ended", "its pod has come to its end", _finished(pod), log)
        case "Failed":
            return JobState("ended", _why_ended(job, pod), _finished(pod), log)
        case _:
            return JobState("running")


def wants_log(job: Object, pod: Object | None) -> bool:
    """Whether it ended, and not well: then its last lines may tell why."""
    if pod is None:
        return False
    failed = any(
        each["type"] == "Failed" and each["status"] == "True" for each in job["status"].get("conditions", ())
    )
    return failed or pod["status"].get("phase") == "Failed"


def _why_failed(job: Object, failed: Object, pod: Object | None) -> str:
    if CANCELLED in job["metadata"].get("annotations", {}):
        return "it was cancelled"
    match failed.get("reason"):
        case "DeadlineExceeded":
            return (
                f"it took longer than all its limits together, {job['spec'].get('activeDeadlineSeconds')} s"
            )
        case "PodFailurePolicy" if pod is None:
            return f"its pod was taken away: {one_line(failed.get('message', ''))}"
        case _ if pod is None:
            return "its pod is gone"
        case _:
            return _why_ended(job, pod)


def _why_ended(job: Object, pod: Object) -> str:
    status = pod["status"]
    if CANCELLED in job["metadata"].get("annotations", {}):
        return "it was cancelled"
    for each in status.get("conditions", ()):
        if each["type"] == "DisruptionTarget" and each["status"] == "True":
            why = one_line(each.get("message") or status.get("message") or "")
            return f"its pod was evicted ({each.get('reason', 'no reason given')}): {why}".rstrip(": ")
    if status.get("reason"):  # of the kubelet: Evicted, DeadlineExceeded, NodeShutdown …
        return one_line(f"its pod was ended ({status['reason']}): {status.get('message', '')}").rstrip(": ")
    ended = _terminated(pod)
    if ended is None:
        return "its pod was taken away" if pod["metadata"].get("deletionTimestamp") else "its pod failed"
    if ended.get("reason") == "OOMKilled":
        limits = pod["spec"]["containers"][0].get("resources", {}).get("limits", {})
        had = f"its limit of {_mebibytes(limits['memory'])}" if "memory" in limits else "there was"
        return f"more memory was needed than {had} (raise the stage's `resources: {{memory: …}}`)"
    code = int(ended.get("exitCode", 0))
    if pod["metadata"].get("deletionTimestamp"):
        return f"its pod was deleted, and its container ended with status {code}"
    if ended.get("reason") not in (None, "", "Error", "Completed"):  # it could not be started
        return one_line(
            f"its container could not run ({ended['reason']}): {ended.get('message', '')}"
        ).rstrip(": ")
    if code > 128 and (name := signal_name(code - 128)):
        return f"its container was ended by {name}"
    return f"its container ended with status {code}"


def _waits_for(pod: Object) -> str:
    for each in pod["status"].get("containerStatuses", ()):
        waiting = each.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") not in (None, "", "ContainerCreating", "PodInitializing"):
            return one_line(f"{waiting['reason']}: {waiting.get('message', '')}").rstrip(": ")
    for each in pod["status"].get("conditions", ()):
        if each["type"] == "PodScheduled" and each["status"] == "False":
            return one_line(f"{each.get('reason', 'Unschedulable')}: {each.get('message', '')}").rstrip(": ")
    return "its container is being made"


def _terminated(pod: Object) -> Object | None:
    for each in pod["status"].get("containerStatuses", ()):
        if found := each.get("state", {}).get("terminated"):
            ended: Object = found
            return ended
    return None


def _finished(pod: Object) -> datetime | None:
    ended = _terminated(pod)
    return _time(ended.get("finishedAt")) if ended else None


def _instant(condition: Object) -> datetime | None:
    return _time(condition.get("lastTransitionTime"))


def _time(text: str | None) -> datetime | None:
    """RFC 3339 in whole seconds, UTC."""
    try:
        return datetime.strptime(text or "", "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def _mebibytes(quantity: str) -> str:
    return f"{int(quantity) // 1024**2} MiB" if quantity.isdigit() else quantity
