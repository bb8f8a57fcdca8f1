"""The agents' own images for tests, built by `make images`' own program on a base that nobody had to pull."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from local.docker.daemon import Dockerd
from local.images import build
from tests.real import require

BASE = "python:3.11-slim-bookworm"
TAG = "test"
PATTERN = f"turnout-{{agent}}:{TAG}"
_BASE_SCRIPT = build.ROOT / "local/setup/agent-base.sh"


def base_archive() -> Path:
    """The root of the base as a tar; the test is skipped where there is none."""
    said = subprocess.run([_BASE_SCRIPT, "--where"], capture_output=True, text=True, check=True).stdout
    path = Path(said.strip())
    require("a base for the agents' images", path.exists(), "make real-parts makes it, as root")
    return path


def make_images(dockerd: Dockerd, only: Sequence[str], tag: str = TAG) -> Mapping[str, str]:
    """Images that are there already are quickly made again. Kind to image."""
    environ = {**os.environ, **dockerd.environ}
    if subprocess.run(
        ["docker", "image", "inspect", BASE], env=environ, capture_output=True, check=False
    ).returncode:
        subprocess.run(
            ["docker", "import", str(base_archive()), BASE], env=environ, capture_output=True, check=True
        )
    trusted = os.environ.get("PIP_CERT") or os.environ.get("SSL_CERT_FILE")
    # The bridge of the test's engine leads nowhere: installers go through this machine.
    asked = build.Asked(
        "docker", tag=tag, ca=Path(trusted) if trusted else None, network="host", only=tuple(only)
    )
    build.build(asked, environ)
    return {each: build.name_of(each, asked, tag) for each in only}
