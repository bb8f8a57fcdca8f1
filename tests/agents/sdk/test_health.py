from __future__ import annotations

from pathlib import Path

import pytest

from agents.sdk import job
from agents.sdk.health import look


def test_an_image_that_is_whole_says_what_is_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNOUT_AGENT", "script lint")
    monkeypatch.setenv("TURNOUT_AGENT_TOOLS", "git")
    monkeypatch.setenv("TURNOUT_SANDBOX", "none")
    assert job.main(["--health"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[:2] == ["agent script", "agent lint"]
    assert said[2].startswith("git: git version ")
    assert said[3].startswith("room for work in ")
    assert said[4].startswith("no sandbox: it is switched off")


def test_what_is_missing_is_said_and_is_no_health(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNOUT_AGENT", "nobodys")
    monkeypatch.setenv("TURNOUT_AGENT_TOOLS", "no-such-tool false")
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path / "missing"))
    assert job.main(["--health"]) == 1
    said = [each for each in capsys.readouterr().out.splitlines() if each.startswith("MISSING: ")]
    assert len(said) == 4
    for line, part in zip(said, ("nobodys", "no-such-tool", "false --version ended", "missing"), strict=True):
        assert part in line


def test_an_image_without_an_agent_is_none() -> None:
    assert next(look({"TURNOUT_SANDBOX": "none"})) == (
        False,
        "TURNOUT_AGENT is not set: an image says which agent is in it",
    )
