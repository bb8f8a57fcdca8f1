from __future__ import annotations

from pathlib import Path

import pytest

from turnout.adapters.settings import InvalidSettings, read_settings
from turnout.core.topics import AGENT_KINDS


def test_agents_of_other_packages_come_after_the_built_in_ones(tmp_path: Path) -> None:
    found = read_settings({"TURNOUT_HOME": str(tmp_path), "TURNOUT_AGENTS": "haskell, lint,rust-fmt,"})
    assert found.kinds == (*AGENT_KINDS, "haskell", "rust-fmt")
    assert {"agent.haskell", "agent.rust-fmt"} < {each.name for each in found.topics}


@pytest.mark.parametrize("name", ["results", "logs", "report", "Haskell", "a b", "../x", "a.b"])
def test_a_name_that_would_take_another_topic_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidSettings, match="TURNOUT_AGENTS"):
        read_settings({"TURNOUT_HOME": str(tmp_path), "TURNOUT_AGENTS": name})
