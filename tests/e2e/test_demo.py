"""The demo keeps its promise on both buses; its own checks decide."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from local.kafka.broker import Broker
from tests.e2e.system import ROOT

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


def test_the_demo_shows_what_it_promises_on_kafka(tmp_path: Path) -> None:
    with Broker() as broker:
        done = demo(tmp_path, TURNOUT_KAFKA_BOOTSTRAP=broker.bootstrap)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "on Kafka" in done.stdout
    assert "never posted twice" in done.stdout


def test_the_demo_says_so_and_fails_when_a_promise_is_broken(tmp_path: Path) -> None:
    done = demo(tmp_path, TURNOUT_SANDBOX="bubblewrapp")
    assert done.returncode == 1
    assert "TURNOUT_SANDBOX" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
