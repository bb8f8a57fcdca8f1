from __future__ import annotations

from pathlib import Path

from tests.console.visiting import visit
from turnout.adapters.settings import read_settings
from turnout.wiring import Wiring


def test_a_stages_address_leads_to_its_place_on_the_page_of_its_run(tmp_path: Path) -> None:
    wiring = Wiring(read_settings({"TURNOUT_HOME": str(tmp_path), "HOME": str(tmp_path)}))
    with visit(wiring) as browser:
        answer = browser.get("/runs/r1/stages/unit%20%22x%22")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/runs/r1#stage-unit%20%22x%22"
