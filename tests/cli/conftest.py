from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.house import House
from turnout.adapters.settings import read_settings
from turnout.wiring import Wiring, prepare


@pytest.fixture(scope="session")
def template(session_home: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with a store that is empty: the migrations are run once for all tests."""
    home = tmp_path_factory.mktemp("template")
    made = Wiring(read_settings({"TURNOUT_HOME": str(home)}))
    prepare(made.settings)
    made.store.runs()
    made.store.close()
    return home


@pytest.fixture
def house(
    turnout_home: Path, template: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[House]:
    monkeypatch.setenv("COLUMNS", "200")
    made = House(turnout_home, template, monkeypatch, capsys)
    yield made
    made.close()
