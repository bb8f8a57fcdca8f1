"""Names and tags of images."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.build.naming import TAG, Name, read_name, slug, tags, version_of

SHA = "0123456789abcdef0123456789abcdef01234567"
COMMIT = "0123456789ab"


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("registry.example.org/team/app", Name("registry.example.org", "team/app")),
        ("127.0.0.1:5000/app", Name("127.0.0.1:5000", "app")),
        ("localhost/app", Name("localhost", "app")),
        ("europe-docker.pkg.dev/p/r/app_1.x", Name("europe-docker.pkg.dev", "p/r/app_1.x")),
        ("[::1]:5000/app", Name("[::1]:5000", "app")),
    ],
)
def test_a_name_has_a_registry_and_a_repository(text: str, name: Name) -> None:
    assert read_name(text) == name
    assert str(name) == text


@pytest.mark.parametrize(
    "text",
    [
        "app", "team/app", "registry.example.org/", "registry.example.org/App", "registry.example.org/a b",
        "registry.example.org/app:v1", f"registry.example.org/app@sha256:{'0' * 64}", "-x.example.org/app",
        "registry.example.org/../app", "https://registry.example.org/app", "registry.example.org/a//b",
    ],
)  # fmt: skip
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected|no reg|no rep"):
        read_name(text)


@pytest.mark.parametrize(
    ("registry", "loopback"),
    [("127.0.0.1:5000", True), ("localhost:1", True), ("[::1]:5", True), ("127.9.9.9", True)]
    + [("10.0.0.1", False), ("localhost.example.org", False), ("127.0.0.1.example.org", False)],
)
def test_loopback_is_this_machine_alone(registry: str, loopback: bool) -> None:
    assert Name(registry, "x").loopback is loopback


def test_a_branch_gives_its_commit_and_its_name() -> None:
    assert tags(SHA, "refs/heads/main", branch="main") == (COMMIT, "main")


def test_a_pull_request_never_takes_the_tag_of_a_branch() -> None:
    assert tags(SHA, "refs/pull/7/head", branch="main") == (COMMIT, "pr-7")
    assert tags(SHA, "refs/heads/pr-7", branch="pr-7")[1].startswith("branch-pr-7")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        ("v1.2.3", ("1.2.3", "1.2", "1", "latest")),
        ("1.2.3", ("1.2.3", "1.2", "1", "latest")),
        ("v0.3.1", ("0.3.1", "0.3", "latest")),
        ("v1.2.3-rc.1", ("1.2.3-rc.1",)),
        ("v1.2.3+linux", ("1.2.3_linux",)),
        ("nightly", ("nightly",)),
    ],
)
def test_a_tag_of_a_version_gives_the_versions_it_stands_for(tag: str, expected: tuple[str, ...]) -> None:
    assert tags(SHA, f"refs/tags/{tag}", tag=tag) == (COMMIT, *expected)


@pytest.mark.parametrize("branch", ["latest", "1.2", "v1", "2.x", "0123456789abcdef", "pr-1", "LATEST"])
def test_a_branch_cannot_take_the_place_of_a_version_or_a_commit(branch: str) -> None:
    assert slug(branch).startswith("branch-")


def test_branches_that_look_alike_get_different_tags() -> None:
    names = ["feature/a", "feature-a", "feature@a", "-feature/a", "main", "-main", "main.", "@main"]
    assert len({slug(name) for name in names}) == len(names)
    assert slug("feature-a") == "feature-a"
    assert slug("main") == "main"


@given(st.text(min_size=1))
def test_every_branch_has_a_tag_that_registries_take(branch: str) -> None:
    assert TAG.fullmatch(slug(branch))


def test_tags_of_the_pipeline_file_come_last_and_once() -> None:
    assert tags(SHA, "refs/heads/main", branch="main", more=("main", "edge")) == (COMMIT, "main", "edge")


def test_only_versions_are_versions() -> None:
    assert [version_of(each) for each in ("v1.2.3", "1.2.3-a+b", "v1.2", "x1.2.3", "v01.2.3", "")] == [
        "1.2.3", "1.2.3-a+b", "", "", "", "",
    ]  # fmt: skip
