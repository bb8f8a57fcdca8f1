"""The build agent where it really runs: in an attempt's own process, started by a worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agents.sdk.forkserver import ForkServer
from agents.sdk.hosting import AttemptHost
from agents.sdk.live import Live
from tests.agents.build.conftest import Yard, app, commit, leftovers_of
from tests.agents.sdk.hosts import Bench, BoundSecrets, Now
from turnout.adapters.artifacts import FileArtifacts
from turnout.adapters.claims import FileClaims
from turnout.adapters.memory_bus import MemoryBus
from turnout.core.model import Outcome
from turnout.core.result import Result

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
PLACE = "agents.build.agent:run"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Bench]:
    home = tmp_path / "home"
    bus, claims = MemoryBus(), FileClaims(home / "claims")
    artifacts, secrets = FileArtifacts(home / "artifacts"), BoundSecrets({})
    forks, live = ForkServer([PLACE], "auto"), Live(bus.producer())
    host = AttemptHost(
        forks=forks, agents={"build": PLACE}, live=live, claims=claims, artifacts=artifacts, secrets=secrets,
        clock=Now(), home=home, worker="bench", sandbox="auto", grace=0.5, fetch_again=(0.1,),
    )  # fmt: skip
    forks.start()
    try:
        yield Bench(home, bus, claims, artifacts, secrets, host, tmp_path / "origin", "")
    finally:
        forks.close()
        live.close()
        claims.close()


def test_an_attempt_builds_an_image_and_one_that_is_cancelled_leaves_nothing_behind(
    yard: Yard, worker: Bench
) -> None:
    worker.sha = commit(worker.origin, app(yard))
    options = {"image": f"{yard.registry.address}/attempt", "sbom": "none"}
    result = worker.run("build", options=options, timeout=240.0)
    assert result.outcome is Outcome.SUCCESS, worker.log("build")
    assert result.outputs["digest"].startswith("sha256:")
    assert result.tools["buildah"]
    assert result.sandbox.startswith("sandbox: ")

    worker.sha = commit(worker.origin, app(yard, "RUN sleep 86397\n"))
    hosted = worker.host.begin(worker.task("build", 2, options=options, timeout=240.0))
    ended: list[Result] = []
    thread = threading.Thread(target=lambda: ended.append(hosted.run().result))
    thread.start()
    until = time.monotonic() + 90
    while not leftovers_of("sleep 86397", worker.home):
        assert time.monotonic() < until
        time.sleep(0.05)
    hosted.stop("cancelled", "somebody said so")
    thread.join(60)
    assert ended[0].outcome is Outcome.CANCELLED
    assert leftovers_of("sleep 86397", worker.home) == []
