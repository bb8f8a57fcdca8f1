from __future__ import annotations

from pathlib import Path

from agents.sdk.environment import inherited
from agents.sdk.operator_paths import operator_paths, operator_settings


def test_what_the_operator_names_reaches_attempts_and_is_shown_to_tools_where_it_is_there(
    tmp_path: Path,
) -> None:
    program = tmp_path / "trivy"
    program.touch()
    given = {
        "TURNOUT_TRIVY": str(program),
        "TURNOUT_SNYK": str(tmp_path / "gone"),
        "TURNOUT_TRIVY_DATABASE": "",
    }
    assert operator_settings(given) == {key: given[key] for key in ("TURNOUT_TRIVY", "TURNOUT_SNYK")}
    assert operator_paths(given) == (program,)
    assert inherited(given | {"TURNOUT_SERVER_KEY": "k"}) == given
