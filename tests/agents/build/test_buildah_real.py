"""buildah itself: builds, pushes to a real registry, and what comes of all that can go wrong."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.build import builder
from agents.build.agent import run
from agents.build.asked import Asked
from agents.build.manifests import digest_of
from agents.build.naming import read_name
from agents.build.options import BuildOptions
from agents.build.registry_access import Access
from agents.sdk.operator_build import MIRROR
from agents.sdk.stopping import Stopped
from agents.sdk.workspace import AgentError
from local.registry.base import push_base
from local.registry.server import PASSWORD, USER, Registry
from tests.agents.build.broken_registry import BreakingDoor
from tests.agents.build.conftest import COMMITTED, Yard, app, commit, leftovers_of
from tests.agents.workspace import SandboxedWorkspace
from tests.chaos.disk import SmallDisk
from tests.real import require
from turnout.core.errors import TransientError
from turnout.core.model import Outcome
from turnout.core.plan import Resources

pytestmark = [pytest.mark.real, pytest.mark.timeout(300)]


def inspected(reference: str) -> dict[str, Any]:
    """The image's configuration as the registry has it."""
    argv = ["skopeo", "inspect", "--config", "--tls-verify=false", f"docker://{reference}"]
    found: dict[str, Any] = json.loads(subprocess.run(argv, check=True, capture_output=True).stdout)
    return found


def run_in_container(workspace: SandboxedWorkspace, yard: Yard, image: str) -> str:
    """What the image's own command prints."""
    asked, _ = yard.workspace("run", {"Dockerfile": "FROM scratch\n"})
    wanted = Asked(asked, BuildOptions(), ".", "", (), {}, 0, Access(), near=True)
    with builder.builder(workspace, wanted) as here:
        made = here.run("buildah", "from", "--pull-always", image, capture=True).stdout.decode().strip()
        try:
            return here.run(
                "buildah", "run", "--network", "none", made, "--", "/bin/sh", "/hello.sh", capture=True
            ).stdout.decode()
        finally:
            here.run("buildah", "rm", made)


@pytest.fixture
def guarded() -> Iterator[Registry]:
    with Registry(guarded=True) as registry:
        yield registry


def test_an_image_is_built_pushed_and_run_and_the_registry_has_what_was_pushed(yard: Yard) -> None:
    asked, workspace = yard.workspace("app", app(yard, "RUN echo built > /built\n"), {"tags": "edge"})
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS, workspace.text
    name = read_name(f"{yard.registry.address}/app")
    assert result.outputs["tags"] == f"{asked.checkout.sha[:12]},main,edge"
    assert result.outputs["image"] == f"{name}:{asked.checkout.sha[:12]}"
    for tag in result.outputs["tags"].split(","):
        assert digest_of(name, tag, Access()) == result.outputs["digest"]
    labels = inspected(result.outputs["image"])["config"]["Labels"]
    prefix = "org.opencontainers.image."
    assert labels[f"{prefix}source"] == "https://github.com/o/r"
    assert labels[f"{prefix}revision"] == asked.checkout.sha
    assert labels[f"{prefix}created"] == "2023-11-14T22:13:20Z"
    assert run_in_container(workspace, yard, result.outputs["image"]) == "hello from the image\n"
    assert result.tools["buildah"]


def test_the_same_commit_built_twice_is_the_same_image(yard: Yard, tmp_path: Path) -> None:
    files = app(yard, "RUN echo built > /built\n")
    asked, first = yard.workspace("twice", files, cache=tmp_path / "one")
    one = run(asked, first)
    (yard.folder / "again").mkdir()
    os.utime(first.path / "hello.sh", (1, 1))
    _, second = yard.workspace("twice", files, cache=tmp_path / "two", sha=asked.checkout.sha)
    two = run(asked, second)
    assert "Using cache" not in second.text
    assert one.outputs == two.outputs


def test_layers_of_an_earlier_commit_are_used_again(yard: Yard) -> None:
    steps = "RUN echo long > /work\n"
    yard.build("cached", app(yard, steps))
    place = yard.folder / "cached" / "checkout"
    sha = commit(place, {"README": "more\n"}, COMMITTED + 1000)
    asked, workspace = yard.workspace("cached", {}, sha=sha)
    result = run(asked, workspace)
    assert workspace.text.count("Using cache") >= 2
    created = inspected(result.outputs["image"])["config"]["Labels"]["org.opencontainers.image.created"]
    assert created == "2023-11-14T22:30:00Z"


def test_a_target_and_arguments_reach_the_build(yard: Yard) -> None:
    file = f"FROM {yard.base} AS one\nARG WORD=none\nRUN echo $WORD > /word\nFROM one AS two\nRUN false\n"
    options = {
        "target": "one",
        "build_args": {"WORD": 7},
        "labels": {"team": "shop"},
        "dockerfile": "ci/one.df",
    }
    result = yard.build("target", {"ci/one.df": file}, options)
    assert result.outcome is Outcome.SUCCESS, result.summary
    assert inspected(result.outputs["image"])["config"]["Labels"]["team"] == "shop"


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"Dockerfile": "FROM {base}\nRUN echo out of luck >&2; exit 3\n"}, "RUN echo out of luck"),
        ({"Dockerfile": "FROM {base}\nCOPY missing /x\n"}, "missing"),
        ({"Dockerfile": "FROM {base}\nFLY away\n"}, "(?i)unknown instruction"),
    ],
)
def test_what_is_wrong_in_the_dockerfile_is_a_failure(yard: Yard, files: dict[str, str], said: str) -> None:
    asked, workspace = yard.workspace(
        "wrong", {name: text.format(base=yard.base) for name, text in files.items()}
    )
    result = run(asked, workspace)
    assert result.outcome is Outcome.FAILURE
    assert re.search(said, result.summary)


def test_a_step_has_no_network_no_rights_and_nothing_of_the_machine(yard: Yard, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not for builds\n")
    look = (
        "RUN ip -o addr; id -u; grep -E 'CapEff|NoNewPrivs|Seccomp:' /proc/self/status; ls /;"
        f" cat {outside} /storage/unclean /run/auth.json; ps | wc -l; env\n"
    )
    port = yard.registry.port
    look += f"RUN ! wget -q -T 2 -O - http://127.0.0.1:{port}/v2/\n"
    secrets = {"REGISTRY_USERNAME": "somebody", "REGISTRY_PASSWORD": "a-very-secret-word"}
    asked, workspace = yard.workspace("look", app(yard, look), secrets=secrets)
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS, workspace.text
    assert "127.0.0.1/8" in workspace.text
    assert " eth" not in workspace.text
    assert "not for builds" not in workspace.text
    assert "NoNewPrivs:\t1" in workspace.text
    assert "Seccomp:\t2" in workspace.text
    assert "CapEff:\t00000000800405fb" in workspace.text  # no CAP_SYS_ADMIN, no CAP_NET_ADMIN, no CAP_MKNOD
    assert "a-very-secret-word" not in workspace.text


def test_a_link_in_the_repository_shows_nothing_of_the_machine(yard: Yard, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("not for builds\n")
    asked, workspace = yard.workspace("link", {"Dockerfile": f"FROM {yard.base}\nCOPY link /x\nRUN cat /x\n"})
    (workspace.path / "link").symlink_to(outside)
    assert run(asked, workspace).outcome is Outcome.FAILURE
    assert "not for builds" not in workspace.text


def test_a_guarded_registry_takes_the_image_with_the_stages_secrets(yard: Yard, guarded: Registry) -> None:
    options = {"image": f"{guarded.address}/app"}
    secrets = {"REGISTRY_USERNAME": USER, "REGISTRY_PASSWORD": PASSWORD}
    asked, workspace = yard.workspace("guarded", app(yard, "RUN env\n"), options, secrets=secrets)
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS, workspace.text
    assert PASSWORD not in workspace.text + result.model_dump_json()
    found = subprocess.run(
        ["grep", "-rlF", PASSWORD, str(yard.folder / "guarded")], capture_output=True, check=False
    )
    assert found.stdout == b""


def test_a_guarded_registry_without_secrets_is_an_error_that_names_them(
    yard: Yard, guarded: Registry
) -> None:
    with pytest.raises(AgentError, match=r"could not be pushed.*REGISTRY_USERNAME"):
        yard.build("unguarded", app(yard), {"image": f"{guarded.address}/app"})


def test_a_registry_that_goes_away_in_the_middle_of_a_push_is_no_fault_of_the_code(yard: Yard) -> None:
    with BreakingDoor(yard.registry.port) as door:
        with pytest.raises(TransientError, match="could not be pushed") as raised:
            yard.build("cut", app(yard, "RUN echo cut > /cut\n"), {"image": f"{door.address}/cut"})
        assert door.broken.is_set()
    assert "reachable" in raised.value.hint


def test_a_base_whose_registry_is_away_may_be_there_later(yard: Yard) -> None:
    with Registry() as gone:
        base = f"{gone.address}/base:1"
    with pytest.raises(TransientError, match="connection refused"):
        yard.build("away", {"Dockerfile": f"FROM {base}\n"})


def test_a_base_that_is_named_short_is_docker_hubs_and_a_mirror_is_asked_for_it(
    yard: Yard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`FROM python:3.11`, as most Dockerfiles begin. Docker Hub itself is not needed."""
    monkeypatch.setenv(MIRROR, yard.registry.address)
    push_base(yard.registry, "library/short")
    built = yard.build("short", {"Dockerfile": "FROM short:1\nRUN echo yes > /yes\n"})
    assert built.outcome is Outcome.SUCCESS, built.summary


def test_a_base_that_the_registry_does_not_have_is_an_error(yard: Yard) -> None:
    with pytest.raises(AgentError, match=r"manifest unknown.*FROM"):
        yard.build("nobase", {"Dockerfile": f"FROM {yard.base}-and-more\n"})


def test_a_full_disk_is_the_machines_fault(yard: Yard, tmp_path: Path) -> None:
    steps = "RUN dd if=/dev/zero of=/big bs=1M count=64\n"
    with (
        SmallDisk(tmp_path / "small", 24 * 1024 * 1024) as disk,
        pytest.raises(TransientError, match="make room"),
    ):
        yard.build("full", app(yard, steps), cache=disk.path / "cache")


def test_a_step_that_takes_too_much_memory_is_a_failure_that_says_so(yard: Yard) -> None:
    asked, workspace = yard.workspace(
        "greedy", app(yard, "RUN tail /dev/zero\n"), resources=Resources(memory=96 * 1024 * 1024)
    )
    result = run(asked, workspace)
    assert result.outcome is Outcome.FAILURE
    assert "resources.memory" in result.summary, workspace.text


def test_a_build_that_is_cancelled_leaves_nothing_behind_and_the_next_one_works(yard: Yard) -> None:
    asked, workspace = yard.workspace("cancelled", app(yard, "RUN sleep 86399\n"))
    raised: list[BaseException] = []

    def work() -> None:
        try:
            run(asked, workspace)
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    until = time.monotonic() + 60
    while not leftovers_of("sleep 86399", workspace.cache):
        assert time.monotonic() < until, workspace.text
        time.sleep(0.05)
    workspace.stopping.grace = 0.5
    workspace.stopping.request("cancelled", "somebody said so")
    workspace.stopping.end_tool()
    thread.join(30)
    assert isinstance(raised[0], Stopped)
    assert leftovers_of("sleep 86399", workspace.cache) == []
    again = yard.build("cancelled", app(yard), sha=commit(workspace.path, app(yard)))
    assert again.outcome is Outcome.SUCCESS


def test_what_a_fork_brings_is_built_and_not_pushed(yard: Yard) -> None:
    files = {"Dockerfile": "FROM scratch\nCOPY hello.sh /\n", "hello.sh": "echo\n"}
    result = yard.build("forked", files, trusted=False)
    assert result.outcome is Outcome.SUCCESS
    assert "not pushed: the change comes from a fork" in result.summary
    assert "image" not in result.outputs
    assert digest_of(read_name(f"{yard.registry.address}/forked"), "main", Access()) == ""


def test_steps_with_the_network_have_one_of_their_own(yard: Yard) -> None:
    require("slirp4netns", not builder.shares_network(), "apt-get install slirp4netns")
    own = f"127.0.0.1:{yard.registry.port}"
    file = (
        'FROM scratch\nCOPY busybox /bin/busybox\nRUN ["/bin/busybox", "ip", "-o", "addr"]\n'
        f'RUN ["/bin/busybox", "sh", "-c", "! /bin/busybox wget -q -T 2 -O - http://{own}/v2/"]\n'
    )
    asked, workspace = yard.workspace("net", {"Dockerfile": file}, {"push": False, "image": ""}, network=True)
    shutil.copy2(shutil.which("busybox") or "", workspace.path / "busybox")
    result = run(asked, workspace)
    assert result.outcome is Outcome.SUCCESS, workspace.text
    assert "tap0" in workspace.text


def test_steps_with_the_network_do_not_share_the_loopback_of_the_registry(yard: Yard) -> None:
    require("slirp4netns", not builder.shares_network(), "apt-get install slirp4netns")
    with pytest.raises(AgentError, match="every service on this machine's loopback"):
        yard.build("nearnet", app(yard), network=True)
