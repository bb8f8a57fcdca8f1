from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from agents.sdk.dependency_cache import KEPT, digest, held
from agents.sdk.local_workspace import cache_of
from tests.agents.workspace import PlainWorkspace, task


def build(folder: Path) -> None:
    (folder / "made").write_text("x")


def test_an_entry_is_built_once_and_found_again(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    built: list[Path] = []

    def once(folder: Path) -> None:
        built.append(folder)
        build(folder)

    for _ in range(2):
        with held(workspace, "python", "key", once) as entry:
            assert (entry / "made").read_text() == "x"
    assert len(built) == 1
    assert entry == workspace.cache / "python" / "key"


def test_nothing_is_left_of_a_build_that_failed(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)

    def broken(folder: Path) -> None:
        build(folder)
        raise RuntimeError("half way")

    with pytest.raises(RuntimeError, match="half way"), held(workspace, "python", "key", broken):
        pass
    assert [path.name for path in (workspace.cache / "python").iterdir()] == ["key.lock"]
    with held(workspace, "python", "key", build) as entry:
        assert (entry / "made").exists()


def test_what_a_killed_build_left_is_removed_by_the_next(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    left = workspace.cache / "python" / ".key.4711"
    left.mkdir(parents=True)
    with held(workspace, "python", "key", build):
        assert not left.exists()


def test_two_attempts_at_once_build_once(tmp_path: Path) -> None:
    workspaces = [PlainWorkspace(tmp_path / str(number), cache=tmp_path / "cache") for number in range(4)]
    built: list[int] = []
    begun = threading.Event()

    def slow(folder: Path) -> None:
        built.append(threading.get_ident())
        begun.set()
        others = [each for each in workspaces if "Waiting" not in each.text]
        deadline = time.monotonic() + 10
        while len(others) > 1 and time.monotonic() < deadline:
            time.sleep(0.01)
            others = [each for each in workspaces if "Waiting" not in each.text]
        build(folder)

    def attempt(workspace: PlainWorkspace) -> None:
        with held(workspace, "python", "key", slow) as entry:
            assert (entry / "made").exists()

    threads = [threading.Thread(target=attempt, args=(each,)) for each in workspaces]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert len(built) == 1


def test_the_longest_unused_entries_are_pruned_but_none_that_is_held(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    base = workspace.cache / "python"
    with held(workspace, "python", "oldest", build):
        for number in range(KEPT + 3):
            with held(workspace, "python", f"key{number}", build):
                for age, name in enumerate(["oldest", *(f"key{n}" for n in range(number + 1))]):
                    if (base / f"{name}.lock").exists():
                        os.utime(base / f"{name}.lock", (1000 + age, 1000 + age))
        kept = sorted(path.name for path in base.iterdir() if path.is_dir())
        assert "oldest" in kept
        assert "key0" not in kept
        assert f"key{KEPT + 2}" in kept
        assert len(kept) <= KEPT + 1


def test_a_killed_process_lets_go_of_its_entry(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    with held(workspace, "python", "key", build):
        pass
    code = (
        "import fcntl, os, sys\n"
        f"lock = os.open({str(workspace.cache / 'python/other.lock')!r}, os.O_RDWR | os.O_CREAT)\n"
        "fcntl.flock(lock, fcntl.LOCK_EX); print('locked', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"locked\n"
        process.kill()
        process.wait()
    with held(workspace, "python", "other", build) as entry:
        assert (entry / "made").exists()


def test_the_borders_of_the_parts_count_in_a_key() -> None:
    assert digest(["ab", "c"]) != digest(["a", "bc"])


def test_a_fork_has_a_cache_of_its_own_and_no_attempt_has_one_that_stays_where_it_is_switched_off(
    tmp_path: Path,
) -> None:
    own = tmp_path / "attempts" / "1"
    trusted, fork = task("test"), task("test", trusted=False)
    off = task("test", env={"TURNOUT_DEPENDENCY_CACHE": "off"})
    assert cache_of(tmp_path, trusted, own) != cache_of(tmp_path, fork, own)
    assert cache_of(tmp_path, trusted, own).parent == tmp_path / "cache"
    assert cache_of(tmp_path, off, own) == own / "cache"
