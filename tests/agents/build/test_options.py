"""What ``with:`` of a build stage may say, and which Dockerfile it means."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.build.dockerfile import dockerfile
from agents.build.options import BuildOptions
from agents.sdk.options import read_options
from agents.sdk.workspace import AgentError
from tests.agents.workspace import write


def options(**given: Any) -> BuildOptions:
    return read_options(BuildOptions, given)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"image": "app"}, "with.image: expected an image's name with its registry"),
        ({"tags": ["-x"]}, "with.tags: '-x' is no tag"),
        ({"backend": "podman"}, "with.backend"),
        ({"build_args": {"1X": "a"}}, "with.build_args: '1X' is no name of a build argument"),
        ({"build_args": {"X": 3.10}}, "with.build_args: put numbers with a dot in quotes"),
        ({"labels": {"Team": "x"}}, "with.labels: 'Team' is no label"),
        ({"platforms": "amd64"}, "with.platforms: 'amd64' is no platform"),
        ({"target": "--x"}, "with.target: expected the name of a stage"),
        ({"dockerfile": "../Dockerfile"}, "with.dockerfile: must be a path inside the repository"),
        ({"context": "/etc"}, "with.context: must be a path inside the repository"),
        ({"cache": "app"}, "with.cache: expected an image's name with its registry"),
        ({"dockerfiles": "x"}, "did you mean 'dockerfile'"),
    ],
)
def test_what_cannot_be_is_named_where_it_stands(given: dict[str, Any], said: str) -> None:
    with pytest.raises(AgentError) as raised:
        options(**given)
    assert said in raised.value.message


def test_numbers_and_switches_are_what_a_dockerfile_sees_of_them() -> None:
    assert options(build_args={"A": 1, "B": True, "C": "x"}).build_args == {"A": "1", "B": "true", "C": "x"}


def test_the_contexts_dockerfile_comes_before_the_roots(tmp_path: Path) -> None:
    write(tmp_path, {"Dockerfile": "", "web/Dockerfile": "", "api/Containerfile": "", "ci/x.df": ""})
    assert dockerfile(tmp_path, options()) == "Dockerfile"
    assert dockerfile(tmp_path, options(context="web")) == "web/Dockerfile"
    assert dockerfile(tmp_path, options(context="api")) == "api/Containerfile"
    assert dockerfile(tmp_path, options(context="ci")) == "Dockerfile"
    assert dockerfile(tmp_path, options(context="web", dockerfile="ci/x.df")) == "ci/x.df"


def test_no_dockerfile_is_an_error_that_says_where_there_is_one(tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no Dockerfile in the root of the repository \(add one"):
        dockerfile(tmp_path, options())
    write(tmp_path, {"deploy/Dockerfile": "", "node_modules/x/Dockerfile": ""})
    with pytest.raises(AgentError, match=r"name it with with.dockerfile; there is deploy/Dockerfile\)"):
        dockerfile(tmp_path, options())
    with pytest.raises(AgentError, match=r"with.dockerfile: there is no file web/Dockerfile"):
        dockerfile(tmp_path, options(dockerfile="web/Dockerfile"))
    with pytest.raises(AgentError, match=r"with.context: there is no folder web"):
        dockerfile(tmp_path, options(context="web"))


def test_links_do_not_lead_out_of_the_repository(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"Dockerfile": "FROM scratch\n"})
    root = tmp_path / "root"
    root.mkdir()
    (root / "web").symlink_to(outside)
    (root / "Dockerfile").symlink_to(outside / "Dockerfile")
    with pytest.raises(AgentError, match="leads out"):
        dockerfile(root, options(context="web"))
    with pytest.raises(AgentError, match="leads out"):
        dockerfile(root, options())
