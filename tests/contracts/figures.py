"""Whoever keeps the figures counts each run once, whenever it ended, and answers from sums."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from tests.contracts.store_runs import Story, a_record, at, attempt_finished, launched, run_finished
from tests.contracts.together import run_together
from tests.ended_runs import Told, ended, success
from tests.ended_runs import at as then
from turnout.core import events as e
from turnout.core import result as r
from turnout.core.environments import Turns
from turnout.core.facts import facts_of
from turnout.core.model import Outcome
from turnout.core.ports import Commit, Store
from turnout.core.ports.figures import Figures, Open, Turn
from turnout.core.run import Run
from turnout.core.tally import Facts, StageEnd
from turnout.figuring import Figuring

MANY = 120
DAY = date(2026, 3, 2)


class Still:
    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def deployed(id: str, end: float, project: str = "acme/shop") -> Facts:
    tests = Told("unit", "test", ((0, 1, 2),), (success(tests=r.Tests(flaky=("t::x",), coverage=80.0)),))
    ship = Told(
        "ship", "deploy", ((end - 5, end - 4, end),), (success(),), environment="live", needs=("unit",)
    )
    return facts_of(ended(tests, ship, id=id, until=end, project=project, committed_at=then(-10)))


class FiguresContract:
    """The subclass gives a store, empty, and the figures beside it."""

    @pytest.fixture
    def store(self) -> Store:
        raise NotImplementedError("the subclass gives the store")

    @pytest.fixture
    def figures(self) -> Figures:
        raise NotImplementedError("the subclass gives the figures")

    def end(self, store: Store, name: str, outcome: Outcome = Outcome.SUCCESS, **more: str) -> Run:
        story = Story(store, name, **more)
        story.begin()
        story.tell(run_finished(outcome))
        return story.state

    def test_runs_wait_to_be_counted_from_their_end_on(self, store: Store, figures: Figures) -> None:
        still = Story(store, "open")
        still.begin()
        first, second = self.end(store, "a"), self.end(store, "b")
        assert figures.uncounted() == [first, second]
        assert figures.uncounted(1) == [first]
        assert figures.count([facts_of(first)], at(20)) == 1
        assert figures.uncounted() == [second]
        still.tell(run_finished())
        assert [run.id for run in figures.uncounted()] == [still.id, second.id]

    def test_a_run_is_counted_once_also_when_it_hears_more(self, store: Store, figures: Figures) -> None:
        run = self.end(store, "a")
        for expected in (1, 0, 0):
            assert figures.count([facts_of(run)], at(20)) == expected
        store.commit(Commit(run, run.version, (), (), at(30)))
        assert figures.uncounted() == []
        assert figures.totals()["acme/shop"].runs == {"success": 1}
        assert figures.count([], at(20)) == 0

    def test_those_who_count_at_once_count_each_run_once(self, store: Store, figures: Figures) -> None:
        for number in range(12):
            self.end(store, str(number), project=f"acme/p{number % 2}")
        figuring = Figuring(figures, Still(at(60)))
        run_together([figuring.catch_up] * 4)
        assert figures.uncounted() == []
        assert {name: tally.runs for name, tally in figures.totals().items()} == {
            "acme/p0": {"success": 6},
            "acme/p1": {"success": 6},
        }

    def test_a_long_history_is_caught_up_in_parts(self, store: Store, figures: Figures) -> None:
        for number in range(MANY):
            self.end(store, str(number), Outcome.FAILURE if number % 4 else Outcome.SUCCESS)
        figuring = Figuring(figures, Still(at(60)))
        assert figuring.catch_up(100) == 100
        assert figures.standing(at(60)).uncounted == MANY - 100
        assert figuring.catch_up() == MANY - 100
        assert figuring.catch_up() == 0
        found = figuring.project("acme/shop")
        assert (found.runs, found.success_rate) == ({"success": 30, "failure": 90}, 0.25)
        assert figuring.project("acme/none").runs == {}

    def test_as_many_days_are_told_as_are_asked_for_but_no_more_than_a_year_and_none_to_come(
        self, figures: Figures
    ) -> None:
        figuring = Figuring(figures, Still(at(60)))
        today = at(60).date()
        for since, days in (
            (None, 30),
            (today - timedelta(days=6), 7),
            (date.min, 366),
            (date.max, 1),
        ):
            found = figuring.project("acme/shop", since)
            assert (found.until, len(found.series["runs"])) == (today, days)

    def test_days_and_projects_are_kept_apart(self, store: Store, figures: Figures) -> None:
        for name, project, end in (
            ("a", "acme/shop", 50),
            ("b", "acme/shop", 90_000),
            ("c", "acme/site", 60),
        ):
            run = self.end(store, name, project=project)
            facts = deployed(run.id, end, project)
            assert figures.count([facts], at(0)) == 1
        days = figures.days("acme/shop", DAY)
        assert [(day, tally.runs) for day, tally in days.items()] == [
            (DAY, {"success": 1}),
            (DAY + timedelta(days=1), {"success": 1}),
        ]
        assert list(figures.days("acme/shop", DAY + timedelta(days=1))) == [DAY + timedelta(days=1)]
        assert days[DAY].flaky["t::x"].times == 1
        assert days[DAY].lines["main"].coverage == 80.0
        assert days[DAY].deploys["live"].lead.total == pytest.approx(60)
        totals = figures.totals()
        assert {name: tally.deploys["live"].good for name, tally in totals.items()} == {
            "acme/shop": 2,
            "acme/site": 1,
        }
        assert totals["acme/shop"].flaky == {}

    def test_every_project_is_known_by_its_first_run(self, store: Store, figures: Figures) -> None:
        assert figures.projects() == {}
        for name, project in (("a", "acme/site"), ("b", "acme/shop"), ("c", "acme/site")):
            Story(store, name, project=project).begin()
        assert figures.projects() == {"acme/shop": 1, "acme/site": 2}
        assert figures.totals() == {}

    def test_deploys_are_told_newest_first(self, store: Store, figures: Figures) -> None:
        facts = [deployed(self.end(store, name).id, end) for name, end in (("a", 50), ("b", 70), ("c", 60))]
        figures.count(facts, at(0))
        assert [each.at for each in figures.deploys("acme/shop", then(55))] == [then(70), then(60)]
        assert figures.deploys("acme/shop", then(0), limit=1) == [facts[1].deploys[0]]
        assert figures.deploys("acme/none", then(0)) == []

    def test_how_the_stages_of_ended_runs_did_is_told_for_many_at_once(
        self, store: Store, figures: Figures
    ) -> None:
        still = Story(store, "open")
        still.begin()
        run = self.end(store, "a")
        told = Story(store, "b")
        told.begin()
        told.tell(*launched("b"), attempt_finished("b"))
        told.tell(e.TaskFinished(at=at(3), task="unit", outcome=Outcome.FAILURE))
        told.tell(
            e.StageFinished(at=at(3), stage="unit", outcome=Outcome.FAILURE, allowed=True), run_finished()
        )
        found = figures.stages([run.id, told.id, still.id, "none"])
        assert found == {
            run.id: {"unit": StageEnd(None, allowed=False), "ship": StageEnd(None, allowed=False)},
            told.id: {"unit": StageEnd(Outcome.FAILURE, allowed=True), "ship": StageEnd(None, allowed=False)},
        }
        assert list(found[told.id]) == ["unit", "ship"]
        assert figures.stages([]) == {}

    def test_what_is_open_is_told_with_its_age(self, store: Store, figures: Figures) -> None:
        assert figures.standing(at(0)).unpublished == Open()
        one, two = Story(store, "one"), Story(store, "two")
        one.begin(records=[a_record()])
        two.begin()
        one.launch(seconds=4)
        one.start(at(30))
        two.launch(seconds=7)
        self.end(store, "ended")
        found = figures.standing(at(31))
        assert found.runs == {"running": Open(2, at(0))}
        assert found.attempts == {"test": Open(2, at(4))}
        assert (found.overdue, found.uncounted) == (1, 1)
        assert found.unpublished == Open(3, at(0))
        one.tell(attempt_finished("one"))
        assert figures.standing(at(31)).attempts == {"test": Open(1, at(7))}

    def test_environments_are_told_with_who_holds_them_and_how_many_wait(
        self, store: Store, figures: Figures
    ) -> None:
        first, second = Story(store, "one"), Story(store, "two")
        first.begin()
        second.begin()
        store.commit(Commit(first.run, 1, (), (), at(3), turns=Turns(taken=("live",))))
        store.commit(Commit(second.run, 1, (), (), at(4), turns=Turns(queued=("live", "test"))))
        assert figures.standing(at(9)).turns == (
            Turn("acme/shop", "live", at(3), 1),
            Turn("acme/shop", "test", None, 1),
        )
        store.commit(Commit(first.run, 1, (), (), at(5), turns=Turns(given=("live",))))
        store.commit(Commit(second.run, 1, (), (), at(6), turns=Turns(unqueued=("live", "test"))))
        assert figures.standing(at(9)).turns == ()
