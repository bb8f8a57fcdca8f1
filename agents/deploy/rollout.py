"""Waiting until what was applied runs, and finding out why it does not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from agents.deploy.cluster import Cluster
from agents.deploy.complaints import last_words
from agents.deploy.objects import Id, Object, selector
from agents.sdk.workspace import AgentError
from turnout.core.durations import format_duration
from turnout.core.errors import TransientError

MOST_REASONS = 3
_PULL = ("ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable")
_NO_STATUS = "only available for RollingUpdate"


def wait(cluster: Cluster, workloads: Sequence[Id], timeout: float) -> str:
    """What has not rolled out, and why; empty: all has. ``timeout``: seconds, of all together.

    Raises: TransientError where the cluster cannot be reached.
    """
    until = time.monotonic() + timeout
    for each in workloads:
        left = max(1.0, until - time.monotonic())
        ran = cluster.run(
            "kubectl",
            (
                "rollout", "status", f"{each.resource}/{each.name}", "--namespace",
                each.namespace or cluster.namespace, f"--timeout={left:.0f}s",
            ),
            timeout=left + 30.0,
            quiet=False,
            checked=False,
        )  # fmt: skip
        if ran.stdout:
            cluster.workspace.log(ran.stdout.decode(errors="replace").rstrip())
        said = ran.stderr.decode(errors="replace")
        if ran.code != 0 and _NO_STATUS in said:
            cluster.workspace.log(f"{each}: it is updated when its pods are deleted; not waited for")
        elif ran.code != 0:
            if ran.timed_out or (time.monotonic() >= until - 0.5 and "timed out" in said):
                said = f"it had not rolled out after {format_duration(timeout)}"
            return f"{each}: {last_words(said)}"
    return ""


def why(cluster: Cluster, workloads: Sequence[Id]) -> str:
    """What the cluster says of the workloads that do not run: pods first; empty: nothing. The rest goes to the log."""
    said: list[str] = []
    try:
        for each in workloads:
            said += reasons(each, *_looked(cluster, each))
            for line in _warnings(cluster, each):
                cluster.workspace.log(line)
    except (AgentError, TransientError) as error:  # there is a reason already; this one is beside it
        cluster.workspace.log(f"no more could be found out: {error.message}")
    said = list(dict.fromkeys(said))
    for line in said:
        cluster.workspace.log(line)
    more = f"; and {len(said) - MOST_REASONS} more" if len(said) > MOST_REASONS else ""
    return "; ".join(said[:MOST_REASONS]) + more


def _looked(cluster: Cluster, each: Id) -> tuple[Object | None, tuple[Object, ...]]:
    where = each.namespace or cluster.namespace
    found = cluster.get(f"{each.resource}/{each.name}", f"--namespace={where}")
    if not found or not (labels := selector(found[0])):
        return (found[0] if found else None), ()
    return found[0], cluster.get("pods", f"--selector={labels}", f"--namespace={where}")


def reasons(id: Id, workload: Object | None, pods: Sequence[Object]) -> list[str]:
    """Pure. What the pods wait for, then what the workload itself complains of."""
    if workload is None:
        return [f"{id} is not there"]
    said = [f"{id}: {reason}" for pod in pods for reason in _pod_reasons(pod)]
    for condition in _list(workload.get("status"), "conditions"):
        kind, status = condition.get("type"), condition.get("status")
        if (kind, status) in (("ReplicaFailure", "True"), ("Progressing", "False")) and not said:
            said.append(f"{id}: {_sentence(condition.get('reason'), condition.get('message'))}")
    return list(dict.fromkeys(said))


def _pod_reasons(pod: Object) -> Iterator[str]:
    status = pod.get("status") or {}
    if status.get("phase") == "Failed" and status.get("reason"):
        yield f"a pod failed: {_sentence(status['reason'], status.get('message'))}"
    for condition in _list(status, "conditions"):
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            yield f"a pod finds no node: {_sentence(condition.get('reason'), condition.get('message'))}"
    for container in (*_list(status, "initContainerStatuses"), *_list(status, "containerStatuses")):
        name = container.get("name")
        state = container.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        before = (container.get("lastState") or {}).get("terminated") or {}
        reason = waiting.get("reason")
        if reason in _PULL:
            image = container.get("image") or "its image"
            yield f"the image {image} cannot be pulled: {_sentence(reason, waiting.get('message'))}"
        elif reason == "CrashLoopBackOff":
            code = f"exit code {before['exitCode']}" if "exitCode" in before else waiting.get("message")
            yield f"container {name} keeps crashing ({before.get('reason') or reason}, {code})"
        elif reason and reason not in ("ContainerCreating", "PodInitializing"):
            yield f"container {name} waits: {_sentence(reason, waiting.get('message'))}"
        elif ended and ended.get("exitCode") != 0:
            yield f"container {name} ended with exit code {ended.get('exitCode')} ({ended.get('reason')})"


def _warnings(cluster: Cluster, each: Id) -> list[str]:
    where = each.namespace or cluster.namespace
    events = cluster.get("events", "--field-selector=type=Warning", f"--namespace={where}")
    mine = [
        event
        for event in events
        if str((event.get("involvedObject") or {}).get("name", "")).startswith(each.name)
    ]
    mine.sort(key=lambda event: str(event.get("lastTimestamp") or event.get("eventTime") or ""))
    return [
        f"event: {event.get('reason')} {(event.get('involvedObject') or {}).get('name')}: "
        f"{' '.join(str(event.get('message', '')).split())[:300]}"
        for event in mine[-5:]
    ]


def _list(of: Any, name: str) -> list[Mapping[str, Any]]:
    found = of.get(name) if isinstance(of, dict) else None
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _sentence(reason: object, message: object) -> str:
    text = " ".join(str(message or "").split())[:200]
    return f"{text} ({reason})" if text and reason else text or str(reason or "no reason is given")
