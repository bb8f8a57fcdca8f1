from __future__ import annotations

import hashlib
import threading
from pathlib import Path

import pytest

from tests.simulation.doorway import SimArtifacts
from turnout.adapters.artifacts import FileArtifacts
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.core.ports import Artifacts, Uploads


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return FileArtifacts(tmp_path / "artifacts")


def test_what_is_put_can_be_got_whole_or_from_a_place_on(artifacts: Artifacts) -> None:
    stored = artifacts.put("runs/r/lint/1/report.bin", b"\x00abc")
    assert stored.size == 4
    assert stored.sha256 == hashlib.sha256(b"\x00abc").hexdigest()
    assert artifacts.get("runs/r/lint/1/report.bin") == b"\x00abc"
    assert artifacts.get("runs/r/lint/1/report.bin", 3) == b"c"
    assert artifacts.get("runs/r/lint/1/report.bin", 9) == b""
    artifacts.put("runs/r/lint/1/report.bin", b"new")
    assert artifacts.get("runs/r/lint/1/report.bin") == b"new"


def test_appended_parts_of_many_threads_are_each_whole(artifacts: Artifacts) -> None:
    def write(letter: str) -> None:
        for _ in range(20):
            artifacts.append("log.txt", f"{letter * 999}\n".encode())

    threads = [threading.Thread(target=write, args=(letter,)) for letter in "abcd"]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    lines = artifacts.get("log.txt").splitlines()
    assert len(lines) == 80
    assert all(len(set(line)) == 1 for line in lines)


def test_a_missing_key_is_said(artifacts: Artifacts) -> None:
    artifacts.put("a/b", b"")
    for key in ("nothing", "a", "a/b/c"):
        with pytest.raises(NotFound, match=key):
            artifacts.get(key)


def test_keys_are_listed_by_prefix_in_order(artifacts: Artifacts) -> None:
    for key in ("runs/1/b", "runs/1/a/x", "runs/10/c", "other"):
        artifacts.put(key, b"")
    assert list(artifacts.list("runs/1/")) == ["runs/1/a/x", "runs/1/b"]
    assert list(artifacts.list("runs/1")) == ["runs/1/a/x", "runs/1/b", "runs/10/c"]
    assert list(artifacts.list("")) == ["other", "runs/1/a/x", "runs/1/b", "runs/10/c"]
    assert list(artifacts.list("none/")) == []


@pytest.mark.parametrize(
    "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\0b", ".incoming/x", "é" * 200]
)
def test_a_key_that_leads_elsewhere_is_refused(artifacts: Artifacts, key: str) -> None:
    with pytest.raises(PermanentError):
        artifacts.put(key, b"")


def test_a_name_that_is_a_folder_already_is_refused_for_good(artifacts: Artifacts) -> None:
    artifacts.put("a/b", b"")
    with pytest.raises(PermanentError, match="in the way"):
        artifacts.put("a", b"")
    with pytest.raises(PermanentError, match="in the way"):
        artifacts.append("a/b/c", b"")


def test_a_full_disk_is_said_and_can_be_tried_again(
    artifacts: Artifacts, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifacts.append("log.txt", b"before\n")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("turnout.adapters.artifacts.os.write", full)
        with pytest.raises(TransientError, match="No space left on device"):
            artifacts.append("log.txt", b"after\n")
    artifacts.append("log.txt", b"after\n")
    assert artifacts.get("log.txt") == b"before\nafter\n"


def test_keys_of_attempts_stay_below_their_task_whatever_a_matrix_holds(artifacts: Artifacts) -> None:
    key = attempt_key("r", "unit[os=../../x,python=3.11]", 2)
    assert key == "runs/r/unit[os=..%2F..%2Fx,python=3.11]/2/log.txt"
    artifacts.append(key, b"fine")
    assert attempt_key("r", "..", 1, "a/b.xml") == "runs/r/%2E%2E/1/a/b.xml"


@pytest.mark.parametrize("simulated", [False, True])
def test_a_piece_at_its_place_is_added_once_however_often_it_comes(tmp_path: Path, simulated: bool) -> None:
    artifacts: Uploads = SimArtifacts() if simulated else FileArtifacts(tmp_path)
    assert artifacts.append_at("log.txt", 0, b"one ") == 4
    assert artifacts.append_at("log.txt", 0, b"one ") == 4
    assert artifacts.append_at("log.txt", 2, b"e two") == 7, "what is there already is left as it is"
    assert artifacts.append_at("log.txt", 9, b"too far") == 7
    assert artifacts.append_at("log.txt", 0, b"") == 7
    assert artifacts.get("log.txt") == b"one two"


def test_of_many_who_add_the_same_piece_at_once_one_does(tmp_path: Path) -> None:
    pieces = [f"{number} of the pieces\n".encode() * 50 for number in range(40)]

    def write() -> None:
        mine, at = FileArtifacts(tmp_path), 0
        for each in pieces:
            assert mine.append_at("a/log.txt", at, each) >= at + len(each)
            at += len(each)

    threads = [threading.Thread(target=write) for _ in range(6)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert FileArtifacts(tmp_path).get("a/log.txt") == b"".join(pieces)
