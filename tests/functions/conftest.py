from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.functions.serving import Site


@pytest.fixture(scope="session")
def site(session_home: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Functions, each in a process of its own, over one store. Start together what a module's tests ask for."""
    made = Site(tmp_path_factory.mktemp("site"))
    yield made
    made.stop()
