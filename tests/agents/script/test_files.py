from __future__ import annotations

from pathlib import Path

import pytest

from agents.script.files import MOST, matching
from agents.sdk.workspace import AgentError
from tests.agents.workspace import write


def test_patterns_mean_files_and_folders_mean_all_in_them(tmp_path: Path) -> None:
    write(tmp_path, {"dist/a.whl": "", "dist/b.txt": "", "docs/x/y.html": "", "other": ""})
    assert matching(tmp_path, ".", ["dist/*.whl", "docs"]) == (["dist/a.whl", "docs/x/y.html"], [])
    assert matching(tmp_path, "docs", ["**/*.html"]) == (["docs/x/y.html"], [])


def test_a_pattern_without_files_is_told(tmp_path: Path) -> None:
    write(tmp_path, {"a": ""})
    assert matching(tmp_path, ".", ["a", "dist/*"]) == (["a"], ["dist/*"])


def test_links_are_passed_over_wherever_they_are_on_the_way(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    write(outside, {"secret": "x"})
    root = tmp_path / "root"
    write(root, {"dist/real": ""})
    (root / "dist/link").symlink_to(outside / "secret")
    (root / "dist/folder").symlink_to(outside)
    (root / "way").symlink_to(outside)
    assert matching(root, ".", ["dist/*", "dist/folder/*", "way/*"])[0] == ["dist/real"]


def test_there_is_a_limit(tmp_path: Path) -> None:
    write(tmp_path, {f"many/{number}": "" for number in range(MOST + 1)})
    with pytest.raises(AgentError, match=f"at most {MOST} are kept"):
        matching(tmp_path, ".", ["many"])


def test_a_dot_means_the_folder_itself(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "file").touch()
    assert matching(tmp_path, ".", ["."]) == (["out/file"], [])
