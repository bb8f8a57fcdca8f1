from __future__ import annotations

import re
from importlib.metadata import version

from typer.testing import CliRunner

from turnout.cli.app import app


def test_the_command_says_its_version_and_does_nothing_else() -> None:
    said = CliRunner().invoke(app, ["--version", "up"])
    assert said.exit_code == 0
    assert re.fullmatch(
        rf"turnout {re.escape(version('turnout'))}( \(commit [0-9a-f]{{12}}\))?\n", said.stdout
    )
