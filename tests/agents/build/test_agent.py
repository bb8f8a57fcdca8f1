"""The build agent around its builders."""

from __future__ import annotations

import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.build import agent, backends
from agents.build.asked import Asked, BuildFailed, Built
from agents.sdk.workspace import AgentError, Workspace
from tests.agents.workspace import PlainWorkspace, task, write
from turnout.core.model import Outcome
from turnout.core.result import Result

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64
IMAGE = "registry.example.org/team/app"
Build = Callable[[Workspace, Asked], Built]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Asked]:
    """What builders were asked; the registry has `ONE` under every tag."""
    monkeypatch.setattr(agent, "digest_of", lambda *_: ONE)
    given: list[Asked] = []

    def build(workspace: Workspace, wanted: Asked) -> Built:
        given.append(wanted)
        return Built(ONE, {"builder": "1"})

    offer(monkeypatch, build)
    return given


def offer(monkeypatch: pytest.MonkeyPatch, build: Build, why: str = "") -> None:
    module: Any = types.ModuleType("tests.agents.build.made_up")
    module.build, module.missing = build, lambda _: why
    monkeypatch.setitem(sys.modules, module.__name__, module)
    monkeypatch.setattr(backends, "MODULES", {"buildah": module.__name__})


def build(folder: Path, options: dict[str, Any] | None = None, **fields: Any) -> Result:
    workspace = PlainWorkspace(folder)
    write(workspace.path, {"Dockerfile": "FROM scratch\n"})
    return agent.run(task("build", {"sbom": "none", **(options or {})}, **fields), workspace)


def test_image_digest_and_tags_are_the_stages_outputs(tmp_path: Path, asked: list[Asked]) -> None:
    result = build(tmp_path, {"image": IMAGE})
    assert result.outcome is Outcome.SUCCESS
    assert result.outputs == {"image": f"{IMAGE}:{'0' * 12}", "digest": ONE, "tags": f"{'0' * 12},main"}
    assert asked[0].references == (f"{IMAGE}:{'0' * 12}", f"{IMAGE}:main")


def test_nobody_saying_where_the_image_goes_is_an_error_that_says_what_to_write(tmp_path: Path) -> None:
    with pytest.raises(
        AgentError, match=r"with: \{image: registry.example.org/team/app\}.*TURNOUT_BUILD_IMAGE"
    ):
        build(tmp_path)


def test_the_operator_can_say_where_all_images_go(
    tmp_path: Path, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_BUILD_IMAGE", "registry.example.org/ci/{repository}")
    assert build(tmp_path).outputs["image"].startswith("registry.example.org/ci/o/r:")
    monkeypatch.setenv("TURNOUT_BUILD_IMAGE", "{repository}")
    with pytest.raises(AgentError, match="TURNOUT_BUILD_IMAGE: expected an image's name with its registry"):
        build(tmp_path)


def test_what_the_registry_has_under_another_digest_is_an_error(
    tmp_path: Path, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "digest_of", lambda *_: TWO)
    with pytest.raises(AgentError, match=f"pushed as {ONE}, and the registry has {TWO}"):
        build(tmp_path, {"image": IMAGE})
    monkeypatch.setattr(agent, "digest_of", lambda *_: "")
    with pytest.raises(AgentError, match="the registry has no such tag"):
        build(tmp_path, {"image": IMAGE})


def test_a_failing_step_is_the_codes_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(workspace: Workspace, wanted: Asked) -> Built:
        raise BuildFailed("RUN make: exit status 2")

    offer(monkeypatch, failing)
    result = build(tmp_path, {"image": IMAGE})
    assert (result.outcome, result.summary) == (Outcome.FAILURE, "RUN make: exit status 2")


def test_a_fork_is_built_and_never_pushed(tmp_path: Path, asked: list[Asked]) -> None:
    result = build(tmp_path, {"image": "127.0.0.1:5000/app"}, trusted=False)
    assert "not pushed" in result.summary
    assert (asked[0].name, asked[0].near) == (None, False)
    assert "digest" not in result.outputs


def test_a_builder_that_is_not_there_is_an_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    offer(monkeypatch, lambda *_: Built(), "buildah is not installed (apt-get install buildah)")
    with pytest.raises(
        AgentError, match=r"nothing is there to build an image with \(buildah: .*apt-get install"
    ):
        build(tmp_path, {"image": IMAGE})
    with pytest.raises(AgentError, match=r"with.backend: buildah: buildah is not installed"):
        build(tmp_path, {"image": IMAGE, "backend": "buildah"})


def test_no_bill_of_materials_is_said_and_an_error_where_it_is_required(
    tmp_path: Path, asked: list[Asked], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("agents.build.sbom.maker", lambda _: "")
    result = build(tmp_path, {"image": IMAGE, "sbom": "auto"})
    assert "no bill of materials: install Trivy" in result.summary
    with pytest.raises(AgentError, match=r"with\.sbom"):
        build(tmp_path, {"image": IMAGE, "sbom": "required"})
    monkeypatch.setattr("agents.build.sbom.maker", lambda _: "/usr/bin/trivy")
    with pytest.raises(AgentError, match="this builder gives no image"):
        build(tmp_path, {"image": IMAGE, "sbom": "required"})
