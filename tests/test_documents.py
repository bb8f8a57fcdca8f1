from __future__ import annotations

import pytest

from turnout.documents import DOCS, documents


@pytest.mark.parametrize("name", sorted(documents()))
def test_generated_documentation_is_what_the_code_says(name: str) -> None:
    assert (DOCS / name).read_text() == documents()[name], "run `make docs`"
