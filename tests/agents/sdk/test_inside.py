from __future__ import annotations

import os
from pathlib import Path

import pytest

from agents.sdk.inside import read_inside
from agents.sdk.workspace import AgentError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("of the machine")
    folder = tmp_path / "scratch"
    folder.mkdir()
    (folder / "report.xml").write_text("<ok/>")
    return folder


def test_a_file_is_read_also_through_a_link_that_stays_inside(folder: Path) -> None:
    (folder / "link.xml").symlink_to("report.xml")
    assert read_inside(folder, "report.xml") == b"<ok/>"
    assert read_inside(folder, "link.xml") == b"<ok/>"
    assert read_inside(folder, folder / "report.xml") == b"<ok/>"


def test_what_is_no_file_is_none(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    for name in ("nothing", "sub", "loop", "pipe", "report.xml/x"):
        assert read_inside(folder, name) is None


@pytest.mark.parametrize("target", ["../secret", "/etc/passwd"])
def test_a_link_that_leads_out_is_refused(folder: Path, target: str) -> None:
    (folder / "junit.xml").symlink_to(target)
    with pytest.raises(AgentError, match=r"junit\.xml leads out"):
        read_inside(folder, "junit.xml")


def test_a_file_that_is_too_large_is_refused(folder: Path) -> None:
    with pytest.raises(AgentError, match="5 bytes; at most 3"):
        read_inside(folder, "report.xml", largest=3)
