"""No function's first answer takes more of the processor than its budget says, beside one that says hello."""

from __future__ import annotations

from pathlib import Path

import pytest

from local.package.budgets import BUDGETS
from tests.bench.cold_start import HELLO, Start, compile_all, page, places, ratio, rounds


def test_the_page_compares_round_by_round() -> None:
    found = {
        HELLO: [Start(100, 50, 30), Start(300, 100, 30)],
        "webhook": [Start(200, 100, 60), Start(600, 200, 60)],
    }
    assert ratio(found, "webhook", "cpu") == 2.0
    rows = page(found, found, found, {HELLO: {"flask": 1.0}, "webhook": {"flask": 1.0, "pydantic": 2.0}})
    assert rows.splitlines()[2].startswith("| hello | 200 (110 – 290) | 1.00 | 75.0 | 1.00 |")
    assert rows.splitlines()[3].endswith("| 2 | 3.00 | 60.0 |")


@pytest.mark.real
@pytest.mark.timeout(600)
def test_each_functions_first_answer_is_within_its_budget(tmp_path: Path) -> None:
    served = places(tmp_path)
    compile_all(served)
    found = rounds(served, 3)
    taken = {name: ratio(found, name, "cpu") for name in BUDGETS}
    assert {name: each for name, each in taken.items() if each > BUDGETS[name].processor} == {}
