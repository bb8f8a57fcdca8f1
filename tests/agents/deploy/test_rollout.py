from __future__ import annotations

from typing import Any

import pytest

from agents.deploy.objects import Id
from agents.deploy.rollout import reasons

SHOP = Id("Deployment", "shop", "", "apps")


def pod(**status: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shop-1"}, "status": status}


def waiting(reason: str, message: str = "", **more: Any) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(containerStatuses=[{"name": "shop", "image": "shop:1", "state": state} | more])


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            waiting("ImagePullBackOff", "Back-off pulling"),
            "the image shop:1 cannot be pulled: Back-off pulling (ImagePullBackOff)",
        ),
        (waiting("InvalidImageName"), "the image shop:1 cannot be pulled: InvalidImageName"),
        (
            waiting("CrashLoopBackOff", lastState={"terminated": {"exitCode": 137, "reason": "OOMKilled"}}),
            "container shop keeps crashing (OOMKilled, exit code 137)",
        ),
        (
            waiting("CreateContainerConfigError", 'secret "x" not found'),
            'container shop waits: secret "x" not found (CreateContainerConfigError)',
        ),
        (
            pod(
                conditions=[
                    {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1"}
                ]
            ),
            "a pod finds no node: 0/1 (Unschedulable)",
        ),
        (
            pod(phase="Failed", reason="Evicted", message="the node was low on memory"),
            "a pod failed: the node was low on memory (Evicted)",
        ),
        (
            pod(
                initContainerStatuses=[
                    {"name": "i", "state": {"terminated": {"exitCode": 2, "reason": "Error"}}}
                ]
            ),
            "container i ended with exit code 2 (Error)",
        ),
    ],
)
def test_pods_say_why_they_do_not_run(found: dict[str, Any], said: str) -> None:
    assert reasons(SHOP, {}, [found, found]) == [f"deployment/shop: {said}"]


def test_a_workload_says_why_it_has_no_pods() -> None:
    quota = {
        "type": "ReplicaFailure",
        "status": "True",
        "reason": "FailedCreate",
        "message": "exceeded quota",
    }
    assert reasons(SHOP, {"status": {"conditions": [quota]}}, []) == [
        "deployment/shop: exceeded quota (FailedCreate)"
    ]
    assert reasons(SHOP, None, []) == ["deployment/shop is not there"]


def test_pods_that_are_starting_are_no_reason() -> None:
    assert reasons(SHOP, {}, [waiting("ContainerCreating"), pod(phase="Running")]) == []
    assert reasons(SHOP, {"status": None}, [pod(conditions="nonsense", containerStatuses=[3])]) == []
