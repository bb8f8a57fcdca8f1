"""Where buildah keeps its layers."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from agents.build import builder
from agents.build.asked import Asked
from agents.build.options import BuildOptions
from agents.build.registry_access import Access
from agents.sdk.operator_build import CACHE, MIRROR
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace, task


def asked(**settings: str) -> Asked:
    return Asked(task("build"), BuildOptions(), ".", "Dockerfile", (), {}, 0, Access(), settings=settings)


def test_builds_at_the_same_time_have_storages_apart_and_the_next_one_takes_the_first(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    with builder.builder(workspace, asked()) as one, builder.builder(workspace, asked()) as two:
        assert one.storage != two.storage
        first = one.storage
        (first / "graphroot" / "layer").touch()
    with builder.builder(workspace, asked()) as three:
        assert three.storage == first
        assert (first / "graphroot" / "layer").exists()


def test_layers_that_take_too_much_room_are_thrown_away(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    with builder.builder(workspace, asked()) as here:
        (here.storage / "graphroot" / "layer").write_bytes(b"x" * 100_000)
    with builder.builder(workspace, asked(**{CACHE: "64Ki"})) as here:
        assert not (here.storage / "graphroot" / "layer").exists()
    assert "beginning anew" in workspace.text
    with (
        pytest.raises(AgentError, match=f"{CACHE}=much: expected a size"),
        builder.builder(workspace, asked(**{CACHE: "much"})),
    ):
        pass


@pytest.mark.parametrize(
    ("mirror", "insecure"), [("127.0.0.1:5000", True), ("hub.example.org/cached", False)]
)
def test_a_mirror_is_asked_before_docker_hub_and_over_tls_unless_it_is_here(
    mirror: str, insecure: bool, tmp_path: Path
) -> None:
    near = replace(asked(**{MIRROR: mirror}), near=True)
    said = tomllib.loads(builder.Builder(PlainWorkspace(tmp_path), near, tmp_path, tmp_path).registries())
    (hub,) = [each for each in said["registry"] if each["location"] == "docker.io"]
    assert hub["mirror"] == [{"location": mirror, "insecure": insecure}]


def test_a_storage_that_an_installer_has_put_there_is_not_used(tmp_path: Path) -> None:
    """An installer may write to the project's cache."""
    workspace = PlainWorkspace(tmp_path)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (workspace.cache / "buildah").symlink_to(elsewhere)
    with builder.builder(workspace, asked()) as here:
        assert here.storage.resolve().is_relative_to(workspace.cache)
    assert list(elsewhere.iterdir()) == []
    home = workspace.cache / "buildah"
    home.chmod(0o777)
    (home / "planted").touch()
    with builder.builder(workspace, asked()):
        assert not (home / "planted").exists()
        assert home.stat().st_mode & 0o777 == 0o700
        assert home.stat().st_uid == os.geteuid()
