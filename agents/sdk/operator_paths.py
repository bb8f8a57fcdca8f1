"""Programs and data of whoever runs the agents, wherever they are on the machine: tools may read them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

TRIVY = "TURNOUT_TRIVY"
"""Trivy's program."""
TRIVY_DATABASE = "TURNOUT_TRIVY_DATABASE"
"""A folder with ``db/trivy.db`` and ``db/metadata.json``, as Trivy keeps it in its cache."""
SNYK = "TURNOUT_SNYK"
"""The folder of npm's package ``snyk``."""
HELM = "TURNOUT_HELM"
"""Helm's program."""
KUBECTL = "TURNOUT_KUBECTL"
"""kubectl's program."""
KUBE_PLUGINS = "TURNOUT_KUBE_PLUGINS"
"""A folder of programs that a kubeconfig may name for its credentials."""

NAMES = (TRIVY, TRIVY_DATABASE, SNYK, HELM, KUBECTL, KUBE_PLUGINS)


def operator_settings(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Those that are set, as absolute paths."""
    return {name: str(Path(environ[name]).expanduser().absolute()) for name in NAMES if environ.get(name)}


def operator_paths(environ: Mapping[str, str] = os.environ) -> tuple[Path, ...]:
    """Those that are there, for a sandbox to show at their own places."""
    return tuple(path for path in map(Path, operator_settings(environ).values()) if path.exists())
