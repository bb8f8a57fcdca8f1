"""`turnout figures` says how a project does."""

from __future__ import annotations

from tests.cli.house import House
from tests.contracts.store_runs import Story, run_finished
from tests.ended_runs import Told, ended, failure, success
from turnout.core import result as r
from turnout.core.facts import facts_of
from turnout.core.model import Outcome
from turnout.core.tally import day_of


def lived(house: House) -> None:
    """Three runs that have ended today."""
    today = house.wiring.clock.now()
    covered = success(tests=r.Tests(coverage=81.5, flaky=("t::x",)))
    unit = Told("unit", "test", ((0, 1, 9),), (covered,))
    ship = Told("ship", "deploy", ((10, 11, 40),), (failure(),), environment="live", needs=("unit",))
    for name in "abc":
        story = Story(house.store, name)
        story.begin()
        story.tell(run_finished())
        facts = facts_of(ended(unit, ship, id=story.id, outcome=Outcome.FAILURE, until=50))
        house.wiring.figures.count([facts.with_(day=day_of(today))], today)


def test_a_projects_figures_are_printed_with_every_part(house: House) -> None:
    lived(house)
    said = house.turnout("figures", "acme/shop")
    assert said.status == 0
    for part in (
        "3 failure",
        "0% of those judged",
        "81.5 % on main",
        "t::x  3×, 100% of runs",
        "to live  3 deploys",
    ):
        assert part in said.out
    assert said.err == ""


def test_the_same_is_there_for_programs(house: House) -> None:
    lived(house)
    said = house.turnout("figures", "acme/shop", "--days", "7", "--json").json
    assert (said["runs"], said["success_rate"], said["coverage"]) == ({"failure": 3}, 0.0, 81.5)
    assert len(said["series"]["runs"]) == 7
    assert said["series"]["runs"][-1][1] == 3.0


def test_runs_that_no_sweeper_has_counted_are_counted(house: House) -> None:
    story = Story(house.store, "a")
    story.begin()
    story.tell(run_finished())
    said = house.turnout("figures", "acme/shop", "--json")
    assert house.wiring.figures.uncounted() == []
    assert said.json["project"] == "acme/shop"


def test_of_a_project_without_runs_that_is_said(house: House) -> None:
    assert "No run of acme/none has ended" in house.turnout("figures", "acme/none").out
