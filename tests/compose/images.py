"""The images of the compose file: ours by `make images`' own program, those of others as stand-ins of their names."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml

from local.compose.engine import FILE
from local.docker.daemon import Dockerd
from local.kafka import broker
from tests.agent_images import BASE, TAG, make_images
from tests.real import require
from turnout.core.errors import PermanentError

STAND_INS = Path(__file__).parent / "stand_ins"
OURS = ("turnout", "lint", "test", "script")
TIMES = 3
"""The classic builder of Debian's engine now and then misses a file that it has just copied (docs/images.md)."""


def others() -> Mapping[str, str]:
    """Service to image, of those that are not ours."""
    services = yaml.safe_load(FILE.read_text())["services"]
    return {name: each["image"] for name, each in services.items() if "turnout:" not in each["image"]}


def make_ours(dockerd: Dockerd) -> None:
    for left in reversed(range(TIMES)):
        try:
            make_images(dockerd, OURS)
            return
        except PermanentError as error:
            if not left or "COPY failed" not in str(error):
                raise


def make_stand_ins(dockerd: Dockerd) -> None:
    """On the base that `make_ours` has brought there."""
    require("Apache Kafka", broker.available(), broker.INSTALL)
    environ = {**os.environ, **dockerd.environ, "DOCKER_BUILDKIT": "0"}
    with tempfile.TemporaryDirectory(prefix="turnout-stand-ins-") as folder:
        context = Path(folder)
        shutil.copytree(STAND_INS, context, dirs_exist_ok=True)
        shutil.copyfile(broker.LOG_SETTINGS, context / "log4j2.yaml")
        shutil.copytree(broker.fetch_jars(), context / "jars")
        for service, image in others().items():
            target = "mailpit" if service == "mailbox" else service
            command = ["docker", "build", "--quiet", "--network=host", f"--target={target}"]
            command += [f"--build-arg=BASE={BASE}", f"--tag={image}", folder]
            done = subprocess.run(command, env=environ, capture_output=True, text=True, check=False)
            assert done.returncode == 0, (done.stdout + done.stderr)[-3000:]


def make_proxied(dockerd: Dockerd, proxy: str) -> str:
    """The agents' images as a company would make its own, where there is one way out. Their pattern."""
    environ = {**os.environ, **dockerd.environ, "DOCKER_BUILDKIT": "0"}
    for kind in OURS[1:]:
        dockerfile = f"FROM turnout-{kind}:{TAG}\nENV HTTPS_PROXY={proxy}\n"
        command = ["docker", "build", "--quiet", f"--tag=turnout-{kind}:proxied", "-"]
        subprocess.run(command, input=dockerfile, env=environ, capture_output=True, text=True, check=True)
    return "turnout-{agent}:proxied"
