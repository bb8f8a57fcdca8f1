"""The builders by name, and which of them is there."""

from __future__ import annotations

import importlib
from typing import Final

from agents.build.asked import Asked, Backend
from agents.build.options import BackendName
from agents.sdk.workspace import AgentError

# Each module has `build` (a `Backend`) and `missing(asked) -> str`: why it cannot build this here, empty: it can.
MODULES: Final[dict[BackendName, str]] = {
    "buildah": "agents.build.buildah",
    "docker": "agents.build.docker",
    "kaniko": "agents.build.kaniko",
    "cloudbuild": "agents.build.cloudbuild",
}
"""In the order of ``auto``. Loaded on use: each brings its own libraries."""


def backend(asked: Asked) -> tuple[BackendName, Backend]:
    """The one that is asked for, else the first that is there. Raises: AgentError, which says what to install."""
    wanted = asked.options.backend
    names = list(MODULES) if wanted == "auto" else [wanted]
    reasons = []
    for name in names:
        module = importlib.import_module(MODULES[name])
        reason: str = module.missing(asked)
        if not reason:
            build: Backend = module.build
            return name, build
        reasons.append(f"{name}: {reason}")
    if wanted != "auto":
        raise AgentError(f"with.backend: {reasons[0]}")
    raise AgentError(f"nothing is there to build an image with ({'; '.join(reasons)})", "install one of them")
