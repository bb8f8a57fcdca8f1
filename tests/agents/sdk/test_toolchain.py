from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk.toolchain import open_folder, project_root, put, read_json, read_json_lines
from agents.sdk.workspace import AgentError
from tests.agents.workspace import PlainWorkspace


def test_a_file_is_put_in_the_place_of_a_link_and_not_where_it_leads(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("precious")
    (tmp_path / "link").symlink_to(target)
    put(tmp_path / "link", "new")
    assert target.read_text() == "precious"
    assert (tmp_path / "link").read_text() == "new"


def test_a_folder_is_empty_and_open_to_the_user_that_tools_run_as(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a/left").touch()
    folder = open_folder(tmp_path / "a")
    assert list(folder.iterdir()) == []
    assert folder.stat().st_mode & 0o777 == 0o777


def test_the_working_directory_may_not_lead_out(tmp_path: Path) -> None:
    workspace = PlainWorkspace(tmp_path)
    (workspace.path / "out").symlink_to(tmp_path)
    with pytest.raises(AgentError, match="out leads out of the repository"):
        project_root(workspace, "out")
    with pytest.raises(AgentError, match="there is no folder app"):
        project_root(workspace, "app")
    assert project_root(workspace, ".") == workspace.path


def test_reports_that_are_missing_or_broken_are_none(tmp_path: Path) -> None:
    assert read_json(tmp_path, "r.json") is None
    assert read_json_lines(tmp_path, "r.jsonl") is None
    (tmp_path / "r.json").write_text("{")
    assert read_json(tmp_path, "r.json") is None
    (tmp_path / "r.jsonl").write_text('{"a": 1}\n[2]\n{"b": ')
    assert list(read_json_lines(tmp_path, "r.jsonl") or ()) == [{"a": 1}]
