"""A node that has room, and is nothing but its object: kwok plays its kubelet."""

from __future__ import annotations

from typing import Any


def node(name: str, kubelet: int) -> dict[str, Any]:
    """``kubelet``: the port of 127.0.0.1 where its containers' logs are asked for."""
    room = {"cpu": "8", "memory": "32Gi", "pods": "110", "ephemeral-storage": "100Gi"}
    return {
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
            },
        },
        "status": {
            "phase": "Running",
            "capacity": room,
            "allocatable": room,
            "addresses": [
                {"type": "InternalIP", "address": "127.0.0.1"},
                {"type": "Hostname", "address": name},
            ],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet}},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady"}],
        },
    }
