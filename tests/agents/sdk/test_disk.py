"""How much an attempt may write."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from agents.sdk.disk import ENTRY, Disk, limit, used
from tests.agents.sdk.hosts import bench as make_bench
from tests.runtimes.test_sandbox_files import nested
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.runtimes.sandbox import remove_tree

MB = 1 << 20


def test_there_is_a_limit_unless_somebody_says_none() -> None:
    assert limit({}) == 20 << 30
    assert limit({"TURNOUT_DISK": "512Mi"}) == 512 * MB
    assert limit({"TURNOUT_DISK": "none"}) is None
    with pytest.raises(PermanentError, match="TURNOUT_DISK=lots: expected a size"):
        limit({"TURNOUT_DISK": "lots"})


def test_what_is_in_a_folder_counts_and_each_name_besides(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "file").write_bytes(os.urandom(MB))
    for number in range(10):
        (tmp_path / str(number)).touch()
    (tmp_path / "away").symlink_to("/usr")
    found, closed = used(tmp_path, 1 << 40)
    assert MB + 12 * ENTRY <= found <= MB + 100 * ENTRY
    assert not closed
    assert used(tmp_path / "missing", 1 << 40) == (0, False)


def test_counting_ends_where_it_is_too_much_and_nothing_hides_in_the_depth(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(MB))
    assert used(tmp_path, 1000)[0] > 1000
    (tmp_path / "tree").mkdir()
    nested(tmp_path / "tree", 300)
    try:
        assert used(tmp_path, 1 << 40)[0] > 1 << 40
    finally:
        remove_tree(tmp_path / "tree")


def test_what_was_there_before_does_not_count_in_a_folder_that_is_shared(tmp_path: Path) -> None:
    own, shared = tmp_path / "own", tmp_path / "shared"
    own.mkdir()
    shared.mkdir()
    (shared / "before").write_bytes(os.urandom(4 * MB))
    disk = Disk(2 * MB, own)
    disk.include(shared)
    time.sleep(max(0.0, disk.due() - time.monotonic()))
    assert disk.look() == ""
    (shared / "after").write_bytes(os.urandom(3 * MB))
    assert disk.look() == "it wrote more than 2Mi to the disk"


def test_an_attempt_that_fills_the_disk_is_ended_and_no_file_of_it_grows_over_the_limit(
    origin: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNOUT_DISK", "8Mi")
    many = "for n in 1 2 3 4 5; do head -c 2M /dev/zero > $n; done; echo written; sleep 60"
    one = "head -c 12M /dev/zero > one || true; stat -c %s one"
    with make_bench(tmp_path, *origin) as fresh:
        greedy = fresh.run("shell", task="greedy", options={"run": many})
        single = fresh.run("capture", task="single", options={"run": one})
        log = fresh.log("greedy")
    assert greedy.outcome is Outcome.FAILURE
    assert greedy.reason.startswith("it wrote more than 8Mi to the disk; write less, or raise TURNOUT_DISK")
    assert "stopping: it wrote more than 8Mi to the disk" in log
    assert single.outputs["stdout"].strip() == str(8 * MB)
