from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functions.serving import Site
from turnout.stack.layout import FUNCTIONS


@pytest.fixture(scope="session")
def site(session_home: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Every function in a process of its own, over one store; they start side by side."""
    made = Site(tmp_path_factory.mktemp("site"))
    made.start(*FUNCTIONS)
    yield made
    made.stop()
