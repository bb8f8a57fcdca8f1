"""The same commit built twice from nothing is the same image."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from local.images import build
from local.images.build import Asked, Image
from local.images.labels import Commit
from tests.real import require

COMMIT = Commit("4f2a90c1d3e5" + "0" * 28, 1_700_000_000, changed=False)
DOCKERFILE = """# It has two stages. No more.
ARG BASE=scratch
FROM ${BASE} AS first
ARG SNAPSHOT=
COPY file /file
FROM ${BASE}
COPY --from=first /file /copied
USER 10001:10001
"""


@pytest.mark.real
def test_what_buildah_makes_twice_is_one_image(tmp_path: Path) -> None:
    require("buildah", bool(shutil.which("buildah")), "make real-parts installs it")
    context = tmp_path / "context"
    context.mkdir()
    (context / "Dockerfile").write_text(DOCKERFILE)
    (context / "file").write_text("content")
    storage = tmp_path / "storage.conf"
    storage.write_text(
        f'[storage]\ndriver = "vfs"\nrunroot = "{tmp_path}/run"\ngraphroot = "{tmp_path}/graph"\n'
    )
    environ = {**os.environ, "CONTAINERS_STORAGE_CONF": str(storage)}
    found = []
    for tag in ("once", "again"):
        asked = Asked("buildah", tag="1", fresh=True)
        argv = build.command(Image("lint", "Dockerfile"), asked, COMMIT, context, environ)
        done = subprocess.run(argv, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        found.append(done.stdout.strip())
        os.utime(context / "file", (0, len(tag)))
    assert found[0] == found[1] != ""
