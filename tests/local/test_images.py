from __future__ import annotations

import subprocess
from importlib.metadata import distributions
from pathlib import Path

import pytest
from docker.utils.build import exclude_paths

from local.images import build
from local.images.build import Asked, Image
from local.images.labels import Commit, labels
from local.images.turnout import metadata
from turnout.core.errors import PermanentError
from turnout.core.topics import AGENT_KINDS

COMMIT = Commit("4f2a90c1d3e5" + "0" * 28, 1_700_000_000, changed=False, source="https://example.org/turnout")

DOCKERFILE = "local/images/turnout/Dockerfile"


def test_every_agent_that_is_built_in_has_an_image() -> None:
    assert set(build.agents()) == set(AGENT_KINDS)


def test_what_an_agents_image_stands_on_is_built_before_it() -> None:
    assert [each.kind for each in build.images(["security"])] == ["sdk", "node", "security"]
    assert [each.kind for each in build.images(["script"])] == ["sdk", "script"]
    assert [each.kind for each in build.images([])][:2] == ["sdk", "node"]
    with pytest.raises(PermanentError, match="no image for rust"):
        build.images(["lint", "rust"])


def test_turnout_itself_has_an_image_of_its_name() -> None:
    (image,) = build.images(["turnout"])
    assert image.needs == ()
    assert build.images([])[-1] == image
    asked = Asked("docker", registry="r.example.org/ci/", tag="1")
    argv = build.command(image, asked, COMMIT, build.ROOT, {})
    assert argv[-1] == str(build.ROOT)
    assert argv[argv.index("--file") + 1] == str(build.ROOT / DOCKERFILE)
    assert argv[argv.index("--tag") + 1] == "r.example.org/ci/turnout:1"
    assert "org.opencontainers.image.title=turnout" in argv
    assert "--target" not in argv


def test_every_image_runs_as_nobody_in_particular_and_can_be_read_only() -> None:
    for dockerfile in (build.ROOT / each.dockerfile for each in build.images(["turnout", "sdk"])):
        text = dockerfile.read_text()
        assert "\nUSER 10001:10001\n" in text
        assert "PYTHONDONTWRITEBYTECODE=1" in text
        assert "compileall" in text


def test_what_an_image_copies_is_in_its_context() -> None:
    ignored = (build.ROOT / ".dockerignore").read_text().splitlines()
    assert sorted(each[1:] for each in ignored if each.startswith("!")) == sorted(build.SOURCES)
    lines = (build.ROOT / "local/images/turnout/Dockerfile").read_text().splitlines()
    copied = [
        each
        for line in lines
        if line.startswith("COPY ") and "--from" not in line
        for each in line.split()[1:-1]
    ]
    assert copied
    for each in copied:
        assert each.startswith(build.SOURCES)
        assert (build.ROOT / each).exists() or each.endswith("[t]")


def test_nothing_private_is_in_the_context_of_a_build_by_hand(tmp_path: Path) -> None:
    kept = {"agents/lint/agent.py", "functions/webhook/main.py", "pyproject.toml", "turnout/core/plan.py"}
    left = {
        ".env",
        ".git/config",
        ".venv/bin/python",
        "build/functions/webhook.zip",
        "tests/key.pem",
        "server.key",
    }
    left |= {"agents/lint/__pycache__/agent.cpython-311.pyc", "turnout/core/plan.pyc", "local/demo/run.py"}
    for name in kept | left:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    lines = (build.ROOT / ".dockerignore").read_text().splitlines()
    patterns = [each for each in lines if each and not each.startswith("#")]
    sent = {each for each in exclude_paths(str(tmp_path), patterns) if (tmp_path / each).is_file()}
    assert sent == kept


def test_the_library_in_the_image_says_its_name_and_version(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'turnout'\nversion = '0.7'\n")
    metadata.main(str(tmp_path / "pyproject.toml"), str(tmp_path / "src"))
    (found,) = distributions(path=[str(tmp_path / "src")])
    assert (found.name, found.version) == ("turnout", "0.7")


def test_no_image_names_a_version_that_moves() -> None:
    for dockerfile in [*sorted((build.ROOT / "agents").glob("*/Dockerfile")), build.ROOT / DOCKERFILE]:
        lines = dockerfile.read_text().splitlines()
        for line in (each for each in lines if each.startswith("FROM ")):
            assert line.split()[1].startswith("${") or line.split()[1] in ("debian", "library", "sdk"), (
                f"{dockerfile}: {line}"
            )
        for line in (each for each in lines if " install " in each and "pip" in each):
            assert "--require-hashes" in dockerfile.read_text(), f"{dockerfile}: {line}"


def test_a_commit_gives_the_same_labels_each_time() -> None:
    named = "registry.example.org/python:3.11@sha256:1"
    assert labels(COMMIT, "turnout-lint", build.ROOT / "agents/lint/Dockerfile", named) == {
        "org.opencontainers.image.base.digest": "sha256:1",
        "org.opencontainers.image.base.name": "registry.example.org/python:3.11",
        "org.opencontainers.image.description": "The lint agent: Pylint, ESLint and Ruff come in the versions that a "
        "project names, or that the agent pins",
        "org.opencontainers.image.created": "2023-11-14T22:13:20Z",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.revision": COMMIT.sha,
        "org.opencontainers.image.source": "https://example.org/turnout",
        "org.opencontainers.image.title": "turnout-lint",
        "org.opencontainers.image.version": "4f2a90c1d3e5",
    }
    assert Commit(COMMIT.sha, 0, changed=True).tag == "4f2a90c1d3e5-changed"


@pytest.mark.parametrize("image", build.images([]), ids=lambda image: image.kind)
def test_every_image_says_what_it_is_and_what_it_stands_on(image: Image) -> None:
    dockerfile = build.ROOT / image.dockerfile
    found = labels(COMMIT, build.title_of(image.kind), dockerfile)
    assert len(found["org.opencontainers.image.description"]) > 20
    base = found["org.opencontainers.image.base.name"]
    assert not image.needs or "ARG BASE" not in dockerfile.read_text()
    assert image.needs or f"\nARG BASE={base}\n" in dockerfile.read_text()
    assert "org.opencontainers.image.base.digest" not in found, "nobody has named it by one"


def test_debians_packages_can_be_those_of_a_moment() -> None:
    asked = Asked("docker", snapshot="20261101T000000Z")
    (image,) = build.images(["turnout"])
    assert "SNAPSHOT=20261101T000000Z" in build.command(image, asked, COMMIT, build.ROOT, {})
    for dockerfile in ("agents/sdk/Dockerfile", DOCKERFILE):
        text = (build.ROOT / dockerfile).read_text()
        assert text.count("apt-get $from") == text.count("apt-get ") == 2


def test_values_that_may_hold_a_password_are_on_no_command_line() -> None:
    image = Image("lint", "agents/lint/Dockerfile", needs=("node",))
    asked = Asked("buildah", registry="r.example.org/ci/", tag="1", base="debian@sha256:1", network="host")
    environ = {
        "HTTPS_PROXY": "http://ada:hunter2@proxy",
        "PIP_INDEX_URL": "https://x:hunter2@pypi",
        "NO_PROXY": "",
    }
    argv = build.command(image, asked, COMMIT, build.ROOT, environ)
    assert argv[:2] == ["buildah", "build"]
    assert "hunter2" not in " ".join(argv)
    given = [argv[number + 1] for number, each in enumerate(argv) if each == "--build-arg"]
    assert given == [
        "NODE=r.example.org/ci/turnout-node:1",
        "BASE=debian@sha256:1",
        "HTTPS_PROXY",
        "PIP_INDEX_URL",
    ]
    assert "r.example.org/ci/turnout-lint:1" in argv
    assert "--network=host" in argv


def test_images_are_made_of_what_git_knows_with_the_commits_time(tmp_path: Path) -> None:
    root, context = tmp_path / "root", tmp_path / "context"
    for name in ("agents/sdk/Dockerfile", "agents/lint/agent.py", "turnout/core/x.py", "tests/test_x.py"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(name)
    subprocess.run(["git", "init", "--quiet", root], check=True)
    subprocess.run(["git", "-C", root, "add", "."], check=True)
    (root / "turnout/secret.key").write_text("not of the project")
    ca = tmp_path / "ca.pem"
    ca.write_text("certificate")
    build.stage(context, COMMIT, ca, root)
    found = {str(each.relative_to(context)) for each in context.rglob("*") if each.is_file()}
    assert found == {
        "agents/sdk/Dockerfile",
        "agents/sdk/company-ca.crt",
        "agents/lint/agent.py",
        "turnout/core/x.py",
    }
    assert {each.stat().st_mtime for each in context.rglob("*")} == {COMMIT.seconds}


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        (["--engine", "podman"], "ENGINE=podman is not known"),
        (["--push", "1"], "pushed where"),
        (["--snapshot", "yesterday"], "SNAPSHOT=yesterday"),
        (["--push", "yes"], "PUSH=yes"),
        (["--ca", "/nowhere.pem"], "CA=/nowhere.pem"),
    ],
)
def test_what_is_asked_wrongly_is_said(asked: list[str], why: str, tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=why):
        build.read_arguments(asked, {"PATH": str(tmp_path)})


def test_without_an_engine_it_says_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match=r"neither docker .* nor buildah is here"):
        build.find_engine("", {"PATH": str(tmp_path)})
    fake = tmp_path / "buildah"
    fake.write_text("#!/bin/sh\n")
    fake.chmod(0o755)
    assert build.find_engine("", {"PATH": str(tmp_path)}) == "buildah"
    (tmp_path / "docker").write_text("#!/bin/sh\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    assert build.find_engine("", {"PATH": f"{tmp_path}:/bin"}) == "buildah", (
        "docker without its engine builds nothing"
    )
    with pytest.raises(PermanentError, match="docker does not work here"):
        build.find_engine("docker", {"PATH": f"{tmp_path}:/bin"})
