from __future__ import annotations

from pathlib import Path

import pytest

from tests.contracts.artifacts import ArtifactsContract, Kept
from tests.simulation.doorway import SimArtifacts
from turnout.adapters.artifacts import FileArtifacts
from turnout.core.errors import PermanentError, TransientError


class TestFileArtifacts(ArtifactsContract):
    @pytest.fixture
    def artifacts(self, tmp_path: Path) -> FileArtifacts:
        return FileArtifacts(tmp_path / "artifacts")


def test_those_of_the_simulation_add_a_piece_once_too() -> None:
    artifacts = SimArtifacts()
    assert artifacts.append_at("log.txt", 0, b"one ") == 4
    assert artifacts.append_at("log.txt", 2, b"e two") == 7
    assert artifacts.append_at("log.txt", 9, b"too far") == 7
    assert artifacts.get("log.txt") == b"one two"


@pytest.fixture
def artifacts(tmp_path: Path) -> Kept:
    return FileArtifacts(tmp_path / "artifacts")


def test_a_name_that_is_a_folder_already_is_refused_for_good(artifacts: Kept) -> None:
    artifacts.put("a/b", b"")
    with pytest.raises(PermanentError, match="in the way"):
        artifacts.put("a", b"")
    with pytest.raises(PermanentError, match="in the way"):
        artifacts.append("a/b/c", b"")


def test_a_full_disk_is_said_and_can_be_tried_again(artifacts: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    artifacts.append("log.txt", b"before\n")

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("turnout.adapters.artifacts.os.write", full)
        with pytest.raises(TransientError, match="No space left on device"):
            artifacts.append("log.txt", b"after\n")
    artifacts.append("log.txt", b"after\n")
    assert artifacts.get("log.txt") == b"before\nafter\n"
