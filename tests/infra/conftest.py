from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.infra.places import Place, program
from tests.real import require

PLANTED = ("kafka", "agent_jobs", "state")


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    require("Terraform", program().exists(), "run `make real-parts`")
    return Place.under(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="session")
def prod(place: Place) -> dict[str, Any]:
    """The plan of the environment prod."""
    place.done("environments/prod", "init", "-no-color")
    return place.plan("environments/prod")


@pytest.fixture(scope="module")
def _initialised(tmp_path_factory: pytest.TempPathFactory) -> Place:
    require("Terraform", program().exists(), "run `make real-parts`")
    place = Place.under(tmp_path_factory.mktemp("scratch"))
    for module in PLANTED:
        place.done(f"modules/{module}", "init", "-no-color")
    return place


@pytest.fixture
def scratch(_initialised: Place) -> Iterator[Place]:
    """For mistakes in the modules of `PLANTED`, which are initialised: what is changed there is put right again."""
    files = {
        file: file.read_bytes()
        for module in PLANTED
        for file in _initialised.files.glob(f"modules/{module}/*.tf")
    }
    yield _initialised
    for file, content in files.items():
        file.write_bytes(content)
