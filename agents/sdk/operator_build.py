"""What whoever runs the agents says of building images: values, not paths."""

from __future__ import annotations

import os
from collections.abc import Mapping

IMAGE = "TURNOUT_BUILD_IMAGE"
"""The name of a project's image where its pipeline names none; ``{repository}`` is the repository, in lower case."""
INSECURE = "TURNOUT_BUILD_INSECURE_REGISTRIES"
"""Registries that are spoken to without TLS, separated by commas or blanks; loopback addresses always are."""
BACKEND = "TURNOUT_BUILD_BACKEND"
"""The builder of stages that name none."""
DOCKER_HOST = "TURNOUT_DOCKER_HOST"
"""The address of a Docker Engine, as docker takes it (``unix:///run/docker.sock``)."""
CACHE = "TURNOUT_BUILD_CACHE"
"""How much room the layers of earlier builds may take for each of a project's storages."""
KANIKO = "TURNOUT_KANIKO_EXECUTOR"
"""Where kaniko's executor is, in an agent's image that has one; empty: ``/kaniko/executor``."""

MIRROR = "TURNOUT_BUILD_MIRROR"
"""A registry that buildah asks for Docker Hub's images first; what it does not have still comes from Docker Hub."""

BUILD_NAMES = (IMAGE, INSECURE, BACKEND, DOCKER_HOST, CACHE, KANIKO, MIRROR)


def build_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those that are set."""
    return {name: environ[name] for name in BUILD_NAMES if environ.get(name)}
