"""A real Docker Engine: builds, pushes, and what comes of all that can go wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from docker import APIClient

from agents.build.agent import run
from agents.build.manifests import digest_of
from agents.build.naming import read_name
from agents.build.registry_access import Access
from agents.sdk.operator_build import DOCKER_HOST
from agents.sdk.stopping import Stopped
from agents.sdk.workspace import AgentError
from local.docker.daemon import Dockerd
from local.registry import server
from local.registry.server import PASSWORD, USER, Registry
from tests.agents.build.broken_registry import BreakingDoor
from tests.agents.build.conftest import BASE, Yard, app
from tests.dockerd import dockerd
from tests.real import require
from turnout.core.errors import TransientError
from turnout.core.model import Outcome
from turnout.core.plan import Resources

__all__ = ["dockerd"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]
SLEEPER = "sleep 86398"


@pytest.fixture(scope="module")
def engine(dockerd: Dockerd) -> Iterator[APIClient]:
    client = APIClient(base_url=dockerd.host, version="auto")
    yield client
    client.close()


@pytest.fixture(scope="module")
def docks(dockerd: Dockerd, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Yard]:
    """A yard whose images the engine builds."""
    require("docker-registry", server.available(), server.INSTALL)
    with Registry() as registry, pytest.MonkeyPatch.context() as patch:
        patch.setenv(DOCKER_HOST, dockerd.host)
        yard = Yard(tmp_path_factory.mktemp("docks"), registry, backend="docker")
        place = yard.folder / "base" / "checkout"
        place.mkdir(parents=True)
        shutil.copy2(shutil.which("busybox") or "", place / "busybox")
        asked, workspace = yard.workspace("base", {"Dockerfile": BASE})
        made = run(asked, workspace)
        assert made.outcome is Outcome.SUCCESS, f"{made.summary}\n{workspace.text}"
        yard.base = made.outputs["image"]
        yield yard


@pytest.fixture(autouse=True)
def address(dockerd: Dockerd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOCKER_HOST, dockerd.host)


def test_an_engine_builds_and_pushes_and_the_registry_has_what_was_pushed(
    docks: Yard, engine: APIClient
) -> None:
    asked, workspace = docks.workspace("app", app(docks, "RUN echo built > /built\n"), {"tags": "edge"})
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS, workspace.text
    assert result.outputs["tags"] == f"{asked.checkout.sha[:12]},main,edge"
    name = read_name(f"{docks.registry.address}/app")
    for tag in result.outputs["tags"].split(","):
        assert digest_of(name, tag, Access()) == result.outputs["digest"]
    engine.pull(str(name), tag="edge")
    labels = dict(engine.inspect_image(f"{name}:edge")["Config"]["Labels"])  # type: ignore[no-untyped-call]
    assert labels["org.opencontainers.image.revision"] == asked.checkout.sha
    assert labels["org.opencontainers.image.created"] == "2023-11-14T22:13:20Z"
    made = engine.create_container(f"{name}:edge", network_disabled=True)
    engine.start(made)
    assert engine.wait(made)["StatusCode"] == 0
    assert engine.logs(made) == b"hello from the image\n"
    engine.remove_container(made)


def test_steps_have_no_network_unless_the_stage_asks(docks: Yard) -> None:
    asked, workspace = docks.workspace("nonet", app(docks, "RUN ip -o addr\n"))
    run(asked, workspace)
    assert "127.0.0.1/8" in workspace.text
    assert " eth0" not in workspace.text


@pytest.mark.parametrize("text", ["RUN exit 3", "COPY missing /x", "FLY away"])
def test_what_is_wrong_in_the_dockerfile_is_a_failure(docks: Yard, text: str) -> None:
    result = docks.build("wrong", {"Dockerfile": f"FROM {docks.base}\n{text}\n"})
    assert result.outcome is Outcome.FAILURE, result.summary
    assert result.summary.startswith("the image could not be built: ")


def test_a_step_that_takes_too_much_memory_is_a_failure_that_says_so(docks: Yard) -> None:
    limits = Resources(memory=64 * 1024 * 1024)
    result = docks.build("greedy", app(docks, "RUN exec tail /dev/zero\n"), resources=limits)
    assert result.outcome is Outcome.FAILURE
    assert "resources.memory" in result.summary


def test_only_the_stages_secrets_open_a_guarded_registry(
    docks: Yard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Registry(guarded=True) as guarded:
        home = tmp_path / "home"
        (home / ".docker").mkdir(parents=True)
        logins = {"auths": {guarded.address: {"auth": "YnVpbGRlcjpzZWNyZXQtb2YtdGhlLWJ1aWxkZXI="}}}
        (home / ".docker" / "config.json").write_text(json.dumps(logins))
        monkeypatch.setenv("HOME", str(home))
        options = {"image": f"{guarded.address}/app"}
        with pytest.raises(AgentError, match="REGISTRY_USERNAME"):
            docks.build("unguarded", app(docks), options)
        secrets = {"REGISTRY_USERNAME": USER, "REGISTRY_PASSWORD": PASSWORD}
        asked, workspace = docks.workspace("guarded", app(docks), options, secrets=secrets)
        result = run(asked, workspace)
        assert result.outcome is Outcome.SUCCESS, workspace.text
        assert PASSWORD not in workspace.text


def test_a_registry_that_goes_away_in_the_middle_of_a_push_is_no_fault_of_the_code(docks: Yard) -> None:
    with BreakingDoor(docks.registry.port) as door:
        with pytest.raises(TransientError, match="could not be pushed"):
            docks.build("cut", app(docks, "RUN echo cut > /cut\n"), {"image": f"{door.address}/cut"})
        assert door.broken.is_set()


def test_a_base_that_the_registry_does_not_have_is_an_error(docks: Yard) -> None:
    with pytest.raises(AgentError, match="could not be built"):
        docks.build("nobase", {"Dockerfile": f"FROM {docks.base}-and-more\n"})


def test_an_engine_that_is_not_there_is_said(docks: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(DOCKER_HOST, "unix:///nonexistent/docker.sock")
    with pytest.raises(AgentError, match="no Docker Engine answers at unix:///nonexistent"):
        docks.build("noengine", app(docks))


# docker-py leaves the connection of an answer that nobody reads to its end to the collector
@pytest.mark.filterwarnings("ignore:.*unclosed <socket:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
def test_a_build_that_is_stopped_leaves_no_container_behind(docks: Yard, engine: APIClient) -> None:
    def interrupted(*_: object) -> None:
        raise Stopped

    before = signal.signal(signal.SIGUSR1, interrupted)
    main = threading.get_ident()

    def interrupt() -> None:
        until = time.monotonic() + 60
        while not running() and time.monotonic() < until:
            time.sleep(0.05)
        signal.pthread_kill(main, signal.SIGUSR1)

    def running() -> bool:
        return any(SLEEPER in each["Command"] for each in engine.containers())

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        with pytest.raises(Stopped):
            docks.build("stopped", app(docks, f"RUN {SLEEPER}\n"))
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    until = time.monotonic() + 30
    while [each for each in engine.containers(all=True) if SLEEPER in each["Command"]]:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert not subprocess.run(["pgrep", "-f", SLEEPER], capture_output=True, check=False).stdout


def test_an_image_that_is_not_pushed_is_kept_as_an_archive(docks: Yard) -> None:
    asked, workspace = docks.workspace("archived", app(docks), {"push": False, "archive": True})
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS
    assert workspace.artifacts["image.oci.tar"].stat().st_size > 10_000
