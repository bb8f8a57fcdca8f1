"""What a launched attempt is in Kubernetes: a Job, and the Secret that holds its pass.

Source: Kubernetes API reference, batch/v1 Job; "Pod Security Standards", restricted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from turnout.core.ids import derive
from turnout.core.messages import TaskRequested
from turnout.runtimes.kubernetes_placement import Placement

ATTEMPT = "turnout.dev/attempt"
CANCELLED = "turnout.dev/cancelled"
"""Annotation of a Job that somebody has cancelled."""
TOKEN = "TURNOUT_ATTEMPT_TOKEN"  # noqa: S105 - a variable's name
CONTAINER = "agent"
GRACE = 30
"""Seconds from the order to end to the end."""
SCRATCH = {"tmp": "/tmp", "var-tmp": "/var/tmp"}  # noqa: S108 - the container's own
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")


def name_of(attempt: str) -> str:
    """The Job's and the Secret's. An attempt's id that is no name there counts as its digest."""
    return f"turnout-{attempt if _NAME.fullmatch(attempt) else derive('kubernetes', attempt)}"


def job(
    task: TaskRequested, image: str, environment: Mapping[str, str], placement: Placement, *, seconds: int
) -> dict[str, Any]:
    """``environment``: its pass; the token is not in the Job, it is in the Secret of `secret`. ``seconds``: then it is
    ended, whatever it does."""
    name, p = name_of(task.attempt), placement
    labels = _labels(task)
    open_variables = [{"name": each, "value": value} for each, value in environment.items() if each != TOKEN]
    token = {"name": TOKEN, "valueFrom": {"secretKeyRef": {"name": name, "key": TOKEN}}}
    container = {
        "name": CONTAINER,
        "image": image,
        "env": [*open_variables, token],
        "resources": _resources(task, p),
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "runAsNonRoot": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [{"name": volume, "mountPath": path} for volume, path in SCRATCH.items()],
    }
    if p.pull:
        container["imagePullPolicy"] = p.pull
    pod: dict[str, Any] = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "terminationGracePeriodSeconds": GRACE,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": p.user,
            "runAsGroup": p.group,
            "fsGroup": p.group,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "containers": [container],
        "volumes": [
            {"name": each, "emptyDir": {"sizeLimit": str(p.disk)} if p.disk else {}} for each in SCRATCH
        ],
    }
    chosen: dict[str, Any] = {
        "serviceAccountName": p.service_account,
        "nodeSelector": dict(p.node_selector),
        "tolerations": [dict(each) for each in p.tolerations],
        "imagePullSecrets": [{"name": each} for each in p.pull_secrets],
        "priorityClassName": p.priority_class,
        "runtimeClassName": p.runtime_class,
    }
    pod |= {key: value for key, value in chosen.items() if value}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": name, "labels": labels, "annotations": {ATTEMPT: task.attempt}},
        "spec": {
            "completions": 1,
            "parallelism": 1,
            "backoffLimit": 0,
            "activeDeadlineSeconds": seconds,
            "ttlSecondsAfterFinished": p.keep,
            # One pod, whatever ends it. A disrupted one is told apart, so that nobody takes it for the code's fault.
            "podFailurePolicy": {
                "rules": [
                    {"action": "FailJob", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}
                ]
            },
            "template": {
                "metadata": {
                    "labels": labels,
                    "annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"},
                },
                "spec": pod,
            },
        },
    }


def secret(name: str, token: str, uid: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """``uid``: of the Job, with which it goes."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "immutable": True,
        "type": "Opaque",
        "metadata": {
            "name": name,
            "labels": dict(labels),
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": name, "uid": uid}],
        },
        "stringData": {TOKEN: token},
    }


def _labels(task: TaskRequested) -> dict[str, str]:
    """What cannot be a label's value is left out."""
    wanted = {
        "app.kubernetes.io/managed-by": "turnout",
        "app.kubernetes.io/component": "agent",
        "turnout.dev/agent": task.agent,
        "turnout.dev/project": task.project,
        "turnout.dev/stage": task.stage,
        "turnout.dev/run": task.run,
        ATTEMPT: task.attempt,
    }
    return {key: value for key, value in wanted.items() if _LABEL.fullmatch(value)}


def _resources(task: TaskRequested, p: Placement) -> dict[str, dict[str, str]]:
    """Asked for and limited alike: a task has what it asks for, and no more."""
    limits = {}
    if cpus := task.resources.cpu or p.cpus:
        limits["cpu"] = f"{max(1, round(cpus * 1000))}m"
    if memory := task.resources.memory or p.memory:
        limits["memory"] = str(memory)
    if p.disk:
        limits["ephemeral-storage"] = str(p.disk)
    return {"requests": limits, "limits": limits} if limits else {}
