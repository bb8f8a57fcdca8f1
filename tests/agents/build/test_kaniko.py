"""What kaniko is asked, where it refuses to work, and what its words mean."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agents.build import kaniko, kaniko_room
from agents.build.asked import Asked, BuildFailed
from agents.build.naming import read_name
from agents.build.options import BuildOptions
from agents.build.registry_access import Access, Login
from agents.sdk.operator_build import KANIKO
from agents.sdk.workspace import AgentError, ToolRun
from tests.agents.workspace import task, write
from turnout.core.errors import TransientError


def asked(options: dict[str, Any] | None = None, **more: Any) -> Asked:
    known: dict[str, Any] = {
        "task": task("build", network=True),
        "options": BuildOptions.model_validate(options or {}),
        "context": ".",
        "dockerfile": "deploy/Dockerfile",
        "tags": ("1" * 12, "main"),
        "labels": {"org.opencontainers.image.revision": "1" * 40},
        "committed": 0,
        "access": Access(insecure=frozenset({"plain.example.org"})),
        "name": read_name("127.0.0.1:5000/shop"),
    }
    return Asked(**(known | more))


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Settings with an executor, in a container with all rights."""
    executor = tmp_path / "executor"
    executor.write_text("")
    executor.chmod(0o755)
    monkeypatch.setattr(kaniko, "contained", lambda: True)
    monkeypatch.setattr(kaniko, "rights", lambda: "")
    return {KANIKO: str(executor)}


# --- where it works -----------------------------------------------------------------------------------


def test_it_works_in_a_container_that_has_the_executor(there: dict[str, str]) -> None:
    assert kaniko.missing(asked(settings=there)) == ""
    assert "kaniko.Dockerfile" in kaniko.missing(asked(settings={KANIKO: "/nowhere/executor"}))


def test_outside_of_a_container_it_refuses(there: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kaniko, "contained", lambda: False)
    assert "this is none" in kaniko.missing(asked(settings=there))


def test_what_it_cannot_hold_it_does_not_build(there: dict[str, str]) -> None:
    fine = asked(settings=there)
    assert "network" in kaniko.missing(replace(fine, task=task("build")))
    assert "fork" in kaniko.missing(replace(fine, task=task("build", network=True, trusted=False)))
    assert "platform" in kaniko.missing(asked({"platforms": ["linux/arm64"]}, settings=there))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/vda rw\n", "proc/1/cgroup": "0::/init.scope\n"}, False),
        ({"proc/self/mountinfo": "21 1 0:9 / / rw - overlay overlay rw\n", "proc/1/cgroup": "0::/\n"}, True),
        ({"proc/self/mountinfo": "21 1 8:1 / / rw - ext4 /dev/vda rw\n", "proc/1/cgroup": "1:cpu:/docker/1\n"}, True),
        ({".dockerenv": ""}, True),
        ({"run/.containerenv": ""}, True),
        ({}, False),
    ],
)  # fmt: skip
def test_a_container_is_known_by_its_marks(tmp_path: Path, files: dict[str, str], expected: bool) -> None:
    write(tmp_path, files)
    assert kaniko_room.contained(tmp_path) is expected


def test_the_right_to_change_roots_is_needed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    status = tmp_path / "status"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    status.write_text("Name:\tx\nCapEff:\t00000000a80425fb\n")  # Docker's own
    assert kaniko_room.rights(status) == ""
    status.write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    assert "CAP_SYS_CHROOT" in kaniko_room.rights(status)
    monkeypatch.setattr(os, "geteuid", lambda: 10001)
    assert "as root" in kaniko_room.rights(status)


# --- its room -----------------------------------------------------------------------------------------


def test_its_root_holds_the_commits_files_and_goes_with_it(tmp_path: Path, there: dict[str, str]) -> None:
    checkout = tmp_path / "checkout"
    write(checkout, {"Dockerfile": "FROM scratch\n", ".git/config": "secret", "sub/.git/x": "theirs"})
    (checkout / "link").symlink_to("/etc/shadow")
    place = tmp_path / "room"
    with kaniko_room.room(place, Path(there[KANIKO]), checkout, '{"auths": {}}') as root:
        context = root / "kaniko/context"
        assert not (context / ".git").exists()
        assert (context / "sub/.git/x").read_text() == "theirs"
        assert (context / "link").is_symlink()
        auth = root / "kaniko/.docker/config.json"
        assert stat.S_IMODE(auth.stat().st_mode) == 0o600
        assert stat.S_IMODE(place.stat().st_mode) == 0o700
        mounted = [line.split(" ")[4] for line in (root / "proc/self/mountinfo").read_text().splitlines()]
        assert {"/proc", "/dev", "/kaniko", "/etc/resolv.conf"} <= set(mounted)
    assert not place.exists()


def test_without_credentials_there_is_no_file_of_them(tmp_path: Path, there: dict[str, str]) -> None:
    (tmp_path / "checkout").mkdir()
    with kaniko_room.room(tmp_path / "room", Path(there[KANIKO]), tmp_path / "checkout", "") as root:
        assert not list((root / "kaniko/.docker").iterdir())


# --- what it is asked ---------------------------------------------------------------------------------


def pairs(words: list[str]) -> set[tuple[str, str]]:
    return set(pairwise(words))


def test_options_become_its_arguments_and_credentials_do_not() -> None:
    access = Access({"127.0.0.1:5000": Login("builder", "very secret")}, frozenset({"plain.example.org"}))
    words = kaniko.arguments(
        asked(
            {"build_args": {"A": "1 2"}, "target": "slim", "cache": "registry.example.org/cache"},
            context="app",
            access=access,
        )
    )
    assert {
        ("--context", "dir:///kaniko/context"),
        ("--context-sub-path", "app"),
        ("--dockerfile", "/kaniko/context/deploy/Dockerfile"),
        ("--destination", f"127.0.0.1:5000/shop:{'1' * 12}"),
        ("--destination", "127.0.0.1:5000/shop:main"),
        ("--build-arg", "A=1 2"),
        ("--target", "slim"),
        ("--cache-repo", "registry.example.org/cache"),
        ("--label", f"org.opencontainers.image.revision={'1' * 40}"),
        ("--insecure-registry", "127.0.0.1:5000"),
        ("--insecure-registry", "plain.example.org"),
    } <= pairs(words)
    assert "very secret" not in " ".join(words)
    assert "--no-push" not in words


def test_an_image_without_a_name_is_not_pushed() -> None:
    words = kaniko.arguments(asked(name=None, archive=Path("/a")))
    assert "--no-push" in words
    assert "--destination" not in words
    assert ("--oci-layout-path", "/kaniko/layout") in pairs(words)


# --- what it says -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "error", "told"),
    [
        (
            "error building image: error building stage: failed to execute command: waiting for process to exit: "
            "exit status 3",
            BuildFailed,
            "exit status 3",
        ),
        (
            "error building image: error building stage: failed to execute command: connection refused",
            BuildFailed,
            "could not be built",
        ),
        (
            "error building image: error building stage: failed to take snapshot: no space left on device",
            TransientError,
            "no space left",
        ),
        (
            "error checking push permissions -- make sure you entered the correct tag name: dial tcp 10.0.0.1:443: "
            "connect: connection refused",
            TransientError,
            "connection refused",
        ),
        (
            'error checking push permissions -- make sure: checking push permission for "r/x": UNAUTHORIZED: '
            "authentication required",
            AgentError,
            "REGISTRY_USERNAME",
        ),
        (
            "error building image: GET http://r/v2/x/manifests/1: MANIFEST_UNKNOWN: manifest unknown",
            AgentError,
            "FROM",
        ),
        ("error building image: parsing dockerfile: unknown instruction: RUNN", BuildFailed, "RUNN"),
        (
            "error pushing image: failed to push to destination r/x: something new",
            AgentError,
            "something new",
        ),
        ("panic: runtime error", AgentError, "panic"),
    ],
)
def test_its_last_words_say_whose_fault_it_is(said: str, error: type[Exception], told: str) -> None:
    ran = ToolRun(("chroot",), 1, stderr=f"INFO[0001] RUN something\n{said}\n".encode())
    with pytest.raises(error, match=told):
        kaniko._stop(ran)


def test_a_build_that_was_killed_ran_out_of_memory() -> None:
    with pytest.raises(BuildFailed, match="out of memory"):
        kaniko._stop(ToolRun(("chroot",), None, signal=9))
