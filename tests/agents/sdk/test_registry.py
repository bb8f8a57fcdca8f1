from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Any

import pytest

from agents.sdk import registry
from agents.sdk.workspace import AgentError
from tests.agents.sdk import probes


def test_built_in_agents_are_found_without_asking_any_package() -> None:
    assert registry.find(["lint", "test", "script"]) == {
        "lint": "agents.lint.agent:run",
        "test": "agents.test.agent:run",
        "script": "agents.script.agent:run",
    }


def test_every_built_in_agent_can_be_loaded() -> None:
    for place in registry.find(["lint", "test", "script"]).values():
        assert callable(registry.load(place))


def test_another_packages_agent_is_found_by_its_entry_point(monkeypatch: pytest.MonkeyPatch) -> None:
    offered = EntryPoint("haskell", f"{probes.__name__}:quick", registry.GROUP)

    def entry_points(**asked: Any) -> list[EntryPoint]:
        return [offered] if asked == {"group": registry.GROUP, "name": "haskell"} else []

    monkeypatch.setattr(registry, "entry_points", entry_points)
    found = registry.find(["lint", "haskell"])
    assert found["haskell"] == f"{probes.__name__}:quick"
    assert registry.load(found["haskell"]) is probes.quick


@pytest.mark.parametrize("kind", ["unheard-of", "nothing", "..", "os.path"])
def test_a_kind_that_nobody_offers_is_said(kind: str) -> None:
    with pytest.raises(AgentError, match=r"no agent called .* \(install a package"):
        registry.find([kind])


@pytest.mark.parametrize("place", ["agents.sdk.nowhere:run", "agents.sdk.logs:nothing"])
def test_an_agent_that_cannot_be_loaded_is_said(place: str) -> None:
    with pytest.raises(AgentError, match=place):
        registry.load(place)
