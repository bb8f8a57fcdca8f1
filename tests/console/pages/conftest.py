from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from local.console.seed import World, fill
from tests.console.visiting import BASE, InProcess
from turnout.console.app import create_app


@dataclass(frozen=True)
class Team:
    """A console over the seeded team's store; a browser of the home's owner, and one that nobody is signed in with."""

    world: World
    browser: httpx.Client
    stranger: httpx.Client

    def run(self, title: str) -> str:
        """The id of the newest run with this title."""
        return next(row.id for row in self.world.store.runs(limit=50) if title in row.title)

    def page(self, path: str, status: int = 200, headers: Mapping[str, str] | None = None) -> str:
        answer = self.browser.get(path, headers={"accept": "text/html", **(headers or {})})
        assert answer.status_code == status, answer.text
        return answer.text


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    home = Path(tmp_path_factory.mktemp("team"))
    world = fill(home, runs=0)
    token = {"authorization": f"Bearer {world.wiring.settings.console_token()}"}
    way = InProcess(create_app(world.wiring))  # one for both: the first request of each would cost most
    yield Team(
        world,
        httpx.Client(transport=way, base_url=BASE, headers=token),
        httpx.Client(transport=way, base_url=BASE),
    )
    world.store.close()
