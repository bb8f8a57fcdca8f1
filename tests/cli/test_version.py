from __future__ import annotations

from importlib.metadata import version

from typer.testing import CliRunner

from turnout.cli.app import app


def test_the_command_says_its_version_and_does_nothing_else() -> None:
    said = CliRunner().invoke(app, ["--version", "up"])
    assert (said.exit_code, said.stdout) == (0, f"turnout {version('turnout')}\n")
