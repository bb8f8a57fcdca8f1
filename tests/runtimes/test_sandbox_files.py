"""Files are given to the tool's user, and nothing else is, whatever the tool prepared."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.real import require
from turnout.core.errors import PermanentError
from turnout.runtimes.sandbox_files import claim, remove_tree

SOMEBODY = 65520


@pytest.fixture
def as_root() -> None:
    require("the right to change owners", os.geteuid() == 0, "run the tests as root")


def owner(path: Path) -> int:
    return path.lstat().st_uid


@pytest.mark.real
@pytest.mark.usefixtures("as_root")
def test_a_workspace_is_given_with_all_that_is_in_it(tmp_path: Path) -> None:
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / "file").write_text("x")
    claim(tmp_path, SOMEBODY, deep=True)
    assert {owner(path) for path in (tmp_path, tmp_path / "a", deep, deep / "file")} == {SOMEBODY}


@pytest.mark.real
@pytest.mark.usefixtures("as_root")
def test_a_cache_is_given_without_walking_through_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    claim(tmp_path, SOMEBODY, deep=False)
    assert (owner(tmp_path), owner(tmp_path / "file")) == (SOMEBODY, 0)


@pytest.mark.real
@pytest.mark.usefixtures("as_root")
def test_a_link_is_never_followed(tmp_path: Path) -> None:
    outside, workspace = tmp_path / "outside", tmp_path / "workspace"
    outside.mkdir()
    workspace.mkdir()
    (outside / "file").write_text("x")
    (workspace / "folder").symlink_to(outside)
    (workspace / "file").symlink_to(outside / "file")
    claim(workspace, SOMEBODY, deep=True)
    assert (owner(outside), owner(outside / "file")) == (0, 0)


@pytest.mark.real
@pytest.mark.usefixtures("as_root")
def test_a_file_with_another_name_elsewhere_keeps_its_owner(tmp_path: Path) -> None:
    """As the objects of a local clone, which are the mirror's own."""
    mirror, workspace = tmp_path / "mirror", tmp_path / "workspace"
    mirror.mkdir()
    workspace.mkdir()
    (mirror / "object").write_text("x")
    (workspace / "object").hardlink_to(mirror / "object")
    claim(workspace, SOMEBODY, deep=True)
    assert owner(mirror / "object") == 0


def test_a_folder_that_cannot_be_given_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(PermanentError, match="cannot be given to user 65520"):
        claim(tmp_path / "missing", SOMEBODY, deep=True)


def test_a_tree_with_read_only_folders_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "module" / "inner").mkdir(parents=True)
    (tree / "module" / "inner" / "file").write_text("x")
    (tree / "module" / "inner").chmod(0o500)
    (tree / "module").chmod(0o000)
    remove_tree(tree)
    assert not tree.exists()
    remove_tree(tree)


def test_removing_a_tree_stops_at_its_links(tmp_path: Path) -> None:
    kept, tree = tmp_path / "kept", tmp_path / "tree"
    kept.mkdir()
    tree.mkdir()
    (tree / "link").symlink_to(kept)
    remove_tree(tree)
    assert kept.exists()


def nested(top: Path, depth: int) -> None:
    """Folders within each other, deeper than any path can say."""
    at = os.open(top, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=at)
        inner = os.open("d", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = inner
    os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)


def test_a_tree_that_is_deeper_than_any_path_is_removed(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    nested(tree, 3000)
    remove_tree(tree)
    assert not tree.exists()


def test_a_tree_that_is_too_deep_is_not_given_away_but_said(tmp_path: Path) -> None:
    nested(tmp_path, 300)
    try:
        with pytest.raises(PermanentError, match="nested in more than 200 others"):
            claim(tmp_path, os.geteuid(), deep=True)
    finally:
        remove_tree(tmp_path)
    tmp_path.mkdir()
