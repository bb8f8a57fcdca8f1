"""The demo keeps its promise on both buses; its own checks decide."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agents.build.builder import missing
from local.cluster import INSTALL, available
from local.kafka.broker import Broker
from local.registry.server import available as registry_available
from tests.e2e.system import ROOT
from tests.real import require

pytestmark = [pytest.mark.real, pytest.mark.timeout(400)]


def demo(folder: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "local/demo/run.py"],
        cwd=ROOT,
        env={**os.environ, "TURNOUT_DEMO_HOME": str(folder), **settings},
        capture_output=True,
        text=True,
        timeout=390,
    )


def test_the_demo_shows_the_whole_scenario_on_kafka_where_all_parts_are_there(tmp_path: Path) -> None:
    require("buildah", not missing(), "make real-parts installs it")
    require("docker-registry", registry_available(), "make real-parts installs it")
    require("a Kubernetes cluster", available(), INSTALL)
    with Broker() as broker:
        done = demo(tmp_path, TURNOUT_KAFKA_BOOTSTRAP=broker.bootstrap)
    assert done.returncode == 0, done.stdout + done.stderr
    for promise in (
        "on Kafka",
        "two tests failed, were tried again alone, and are called flaky",
        "security found CVE-2021-33503 in urllib3 1.26.4, and the pipeline halted",
        "the cluster was given",
        "are attested",
        "recovered on main",
        "never posted twice",
    ):
        assert promise in " ".join(done.stdout.split()), promise
    assert "without" not in done.stdout.partition("The stack")[0]


def test_the_demo_says_so_and_fails_when_a_promise_is_broken(tmp_path: Path) -> None:
    done = demo(tmp_path, TURNOUT_SANDBOX="bubblewrapp")
    assert done.returncode == 1
    assert "TURNOUT_SANDBOX" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
