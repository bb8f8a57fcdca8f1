from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.__main__ import COMMAND
from tests.chaos.compare import COMMAND as COMPARE
from tests.chaos.compare import Tally, blows, table, tally
from tests.chaos.contestants import Became, Side
from tests.chaos.performance import Outcome
from tests.chaos.pushes import Delivery, planned
from tests.chaos.schedule import Kind, Strike
from tests.chaos.telling import DOCUMENT, figures, write
from tests.chaos.telling import table as strikes_table
from tests.chaos.theatre import Struck

KILLED = Struck(Strike(1, Kind.KILL, "webhook", False, 0.5, 0.0, True), 110.0, 111.0, "2 processes")
LAST = Struck(Strike(2, Kind.FULL, "disk", False, 0.5, 3.0, True), 130.0, 133.0)
OUTCOME = Outcome(
    began=100.0,
    ended=120.0,
    struck=[KILLED, LAST],
    finished=[105.0, 113.5, 120.0],
    runs=3,
    attempts=16,
    lost={"its worker died": 1},
    posts=5,
    unanswered=1,
    redelivered=1,
    falls=0,
    problems=[],
)


def test_recovery_is_counted_from_the_end_of_a_strike_to_the_next_run_that_ends() -> None:
    assert OUTCOME.recovered(KILLED) == 2.5
    assert OUTCOME.recovered(LAST) is None
    lines = strikes_table(OUTCOME)
    assert "webhook SIGKILL" in lines[2]
    assert "2.5 s" in lines[2]
    assert "nothing was left" in lines[3]
    assert "median 2.5 s, longest 2.5 s" in "\n".join(figures(OUTCOME))


def test_what_a_command_makes_takes_the_place_of_what_it_made_before(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# One\n\n<!-- made by `make it` -->\nold\n<!-- end of `make it` -->\n\n# Two\n")
    write("make it", ["new"], page)
    write("make it", ["newer", "still"], page)
    assert page.read_text() == (
        "# One\n\n<!-- made by `make it` -->\n\nnewer\nstill\n\n<!-- end of `make it` -->\n\n# Two\n"
    )
    with pytest.raises(ValueError, match="no place for what make that makes"):
        write("make that", ["new"], page)


@pytest.mark.parametrize("command", [COMMAND, COMPARE])
def test_the_page_has_a_place_for_each_command(command: str, tmp_path: Path) -> None:
    page = tmp_path / "chaos.md"
    page.write_text(DOCUMENT.read_text())
    write(command, ["here"], page)
    assert "\nhere\n" in page.read_text()


# --- the comparison ---------------------------------------------------------------------------------------


def test_both_are_sent_the_same_deliveries_and_struck_at_the_same_times() -> None:
    assert planned(7, 50, 0.25) == planned(7, 50, 0.25)
    assert 5 < sum(copies > 1 for _, copies in planned(7, 50, 0.25)) < 20
    assert blows(7, 80.0) == blows(7, 80.0)
    assert {each.side for each in blows(7, 80.0)} == set(Side)
    assert all(0 < each.at < 80 for each in blows(7, 80.0))


def test_what_was_lost_doubled_and_carried_out_again_is_counted() -> None:
    copies = {"a": 1, "b": 2, "c": 1, "d": 1, "e": 1}
    sent = [Delivery(id, "acme/shop", b"{}", often) for id, often in copies.items()]
    before = {
        "a": Became(1, ("success",), {"lint": 1, "test": 1}),
        "b": Became(2, ("success", "success"), {"lint": 2, "test": 3}),
        "d": Became(1, ("exception",), {"lint": 1}),
        "e": Became(1, ("",), {}),
    }
    after = before | {"d": Became(2, ("exception", "success"), {"lint": 2, "test": 1})}
    found = tally(sent, {"a", "b", "c", "e"}, before, after)
    assert found == Tally(
        sent=5, posts=6, refused=1, lost=1, twice=1, stuck=1, not_well=1, again=3, missing=1, twice_after=2
    )
    lines = table({"Turnout": found, "Other": found})
    assert lines[0].split("|")[1].strip() == "of 5 deliveries, sent 6 times"
    assert len(lines) == 10
