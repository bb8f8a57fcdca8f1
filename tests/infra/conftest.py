from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.infra.places import Place, program
from tests.real import require


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    require("Terraform", program().exists(), "run `make real-parts`")
    return Place.under(tmp_path_factory.mktemp("terraform"))


@pytest.fixture(scope="module")
def prod(place: Place) -> dict[str, Any]:
    """The plan of the environment prod."""
    place.done("environments/prod", "init", "-no-color")
    return place.plan("environments/prod")


@pytest.fixture
def scratch(tmp_path: Path) -> Place:
    require("Terraform", program().exists(), "run `make real-parts`")
    return Place.under(tmp_path)
