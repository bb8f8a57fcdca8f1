"""What runs that have ended come to: the facts of one, sums, percentiles, DORA's four."""

from __future__ import annotations

from datetime import date, timedelta
from itertools import pairwise
from math import log2

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ended_runs import Told, at, ended, failure, success
from turnout.core import result as r
from turnout.core.facts import facts_of
from turnout.core.figures import Percentiles, ProjectFigures, figures_of
from turnout.core.model import ChangeKind, Outcome
from turnout.core.result import FailedCase, Findings, Result
from turnout.core.run import Run
from turnout.core.spread import LEAST, merged, spread
from turnout.core.tally import MOST_FLAKY, Tally

DAY = date(2026, 3, 2)


def figures(*runs: Run, since: date = DAY, until: date = DAY) -> ProjectFigures:
    days: dict[date, Tally] = {}
    facts = [facts_of(run) for run in runs]
    for each in facts:
        days[each.day] = days.get(each.day, Tally()).plus(each.tally)
    deploys = [deploy for each in facts for deploy in each.deploys]
    return figures_of("acme/shop", since, until, days, deploys)


def unit(*results: Result, **more: object) -> Told:
    times = tuple((10.0 * n, 10.0 * n + 2, 10.0 * n + 9) for n in range(len(results)))
    return Told("unit", "test", times, results, **more)  # type: ignore[arg-type]


def ship(result: Result, begin: float = 50, end: float = 60, to: str = "production", **more: object) -> Told:
    return Told("ship", "deploy", ((begin, begin + 1, end),), (result,), environment=to, **more)  # type: ignore[arg-type]


# --- lengths ------------------------------------------------------------------------------------------


@settings(max_examples=50)
@given(st.lists(st.floats(LEAST, 1e6), min_size=1, max_size=60), st.floats(0.01, 1.0))
def test_a_percentile_is_within_two_and_a_half_percent_of_the_truth(
    lengths: list[float], share: float
) -> None:
    found = spread(lengths).quantile(share)
    rank = -(-share * len(lengths) // 1)
    true = sorted(lengths)[max(int(rank), 1) - 1]
    assert found is not None
    assert abs(log2(found / true)) <= 0.5 / 16 + 1e-9


@settings(max_examples=30)
@given(st.lists(st.floats(0, 1e5), max_size=40), st.integers(0, 40))
def test_parts_of_lengths_add_up_to_the_whole(lengths: list[float], cut: int) -> None:
    whole = merged([spread(lengths[:cut]), spread(lengths[cut:])])
    assert whole.counts == spread(lengths).counts
    assert whole.total == pytest.approx(sum(lengths))


def test_how_many_are_not_longer_than_a_power_of_two_is_exact() -> None:
    lengths = [0.0, 0.5, 1.0, 1.01, 2.0, 3.9, 4.0, 100.0]
    counted = dict(spread(lengths).up_to((-1, 0, 1, 2, 7)))
    assert counted == {limit: sum(each <= limit for each in lengths) for limit in (0.5, 1, 2, 4, 128)}


def test_of_no_lengths_no_percentile_is_told() -> None:
    assert spread([]).quantile(0.5) is None


# --- one run ------------------------------------------------------------------------------------------


def test_a_run_tells_its_outcome_attempts_retries_and_lengths() -> None:
    lost = Result(outcome=Outcome.ERROR, lost=True)
    run = ended(unit(failure(), lost, success(), task={"retries": 1, "lost": 1}), until=40)
    facts = facts_of(run)
    tally = facts.tally
    assert (facts.run, facts.project, facts.day) == ("r1", "acme/shop", DAY)
    assert tally.runs == {"success": 1}
    assert tally.attempts == {"failure": 1, "error": 1, "success": 1}
    assert (tally.retries, tally.lost) == ({"pipeline": 1, "infrastructure": 1}, 1)
    assert tally.duration.total == 40
    assert tally.startup.total == 6
    assert tally.queue.total == 2  # a second after each attempt that was tried again
    assert tally.stages["test"].total == 29


def test_waiting_for_people_alone_is_no_duration_but_work_beside_it_is() -> None:
    build = Told("build", "build", ((0, 1, 30),), (success(),))
    held = ship(success(), begin=80, end=90, approved=80.0)
    assert facts_of(ended(build, held, until=90)).tally.duration.total == 40  # 0–30 and 80–90
    alone = ship(success(), begin=80, end=90, approved=80.0)
    assert facts_of(ended(alone, until=90)).tally.duration.total == 10


@pytest.mark.parametrize("outcome", [Outcome.CANCELLED, Outcome.SKIPPED])
def test_what_came_to_no_verdict_has_no_duration_and_is_in_no_rate(outcome: Outcome) -> None:
    run = ended(unit(success()), outcome=outcome)
    assert facts_of(run).tally.duration.count == 0
    assert figures(run, ended(unit(success()), id="r2")).success_rate == 1.0


def test_coverage_and_vulnerabilities_are_those_of_the_last_attempts_of_a_branch() -> None:
    covered = unit(failure(tests=r.Tests(coverage=10.0)), success(tests=r.Tests(coverage=81.5)))
    found = Findings(counts={"critical": 1, "low": 3})
    scan = Told("scan", "security", ((0, 1, 5),), (failure(findings=found),))
    lint = Told("lint", "lint", ((0, 1, 5),), (failure(findings=Findings(counts={"high": 9})),))
    line = facts_of(ended(covered, scan, lint)).tally.lines["main"]
    assert (line.coverage, line.vulnerabilities) == (81.5, {"critical": 1, "low": 3})
    assert facts_of(ended(covered, scan, kind=ChangeKind.PULL_REQUEST)).tally.lines == {}
    assert facts_of(ended(lint)).tally.lines == {}


def test_a_run_of_a_broken_pipeline_file_counts_and_has_no_duration() -> None:
    broken = ended(outcome=Outcome.FAILURE).with_(plan=None)
    assert facts_of(broken).tally == Tally(runs={"failure": 1})


def test_only_what_really_was_deployed_is_a_deploy() -> None:
    dry = ship(success(outputs={"dry_run": "true"}))
    assert facts_of(ended(dry)).deploys == ()
    assert facts_of(ended(ship(success(), to=""))).deploys == ()
    cancelled = ship(Result(outcome=Outcome.CANCELLED))
    assert facts_of(ended(cancelled)).deploys == ()
    (one,) = facts_of(ended(ship(success()))).deploys
    assert (one.environment, one.good, one.began_at, one.at) == ("production", True, at(50), at(60))


def test_lead_time_is_from_the_commit_to_the_good_deploys_end_where_the_commits_time_is_known() -> None:
    for result, committed, expected in (
        (success(), at(-40), 100),
        (failure(), at(-40), 0),
        (success(), None, 0),
    ):
        facts = facts_of(ended(ship(result), committed_at=committed))
        assert facts.tally.deploys["production"].lead.total == expected


# --- a project ----------------------------------------------------------------------------------------


def test_a_projects_figures_are_of_all_its_runs() -> None:
    runs = [ended(unit(success()), id=f"r{n}", until=10 * n) for n in range(1, 4)]
    found = figures(*runs, ended(unit(failure()), id="bad", outcome=Outcome.FAILURE, until=1000))
    assert found.runs == {"success": 3, "failure": 1}
    assert found.success_rate == 0.75
    assert found.duration.p50 == pytest.approx(20, rel=0.025)
    assert found.duration.p95 == pytest.approx(1000, rel=0.025)
    assert list(found.stages) == ["test"]
    assert found.attempts == 4


def test_of_no_runs_nothing_is_claimed() -> None:
    found = figures_of("acme/shop", DAY, DAY, {}, [])
    assert (found.success_rate, found.coverage, found.dora, found.flaky) == (None, None, (), ())
    assert found.duration == Percentiles()
    assert found.series["runs"] == ((DAY, 0.0),)
    assert found.series["success_rate"] == ()


def test_flaky_tests_are_named_with_how_often_and_when_last() -> None:
    def tested(id: str, until: float, *flaky: str) -> Run:
        return ended(unit(success(tests=r.Tests(total=3, flaky=flaky))), id=id, until=until)

    found = figures(
        tested("a", 10, "t::x"), tested("b", 30, "t::x", "t::y"), tested("c", 20, "t::x"), tested("d", 5)
    )
    assert [(each.test, each.times, each.share, each.last, each.run) for each in found.flaky] == [
        ("t::x", 3, 0.75, at(30), "b"),
        ("t::y", 1, 0.25, at(30), "b"),
    ]


def test_only_so_many_flaky_tests_are_kept_the_most_frequent_ones() -> None:
    often = ended(unit(success(tests=r.Tests(flaky=("often",)))))
    many = ended(
        unit(success(tests=r.Tests(flaky=tuple(str(n) for n in range(MOST_FLAKY)), failed_cases=())))
    )
    both = facts_of(often).tally.plus(facts_of(often).tally).plus(facts_of(many).tally)
    assert len(both.flaky) == MOST_FLAKY
    assert both.flaky["often"].times == 2


def test_trends_are_of_the_branch_that_speaks_on_most_days() -> None:
    def run(day: int, branch: str, coverage: float) -> Run:
        return ended(unit(success(tests=r.Tests(coverage=coverage))), until=86400 * day + 10, branch=branch)

    found = figures(
        run(0, "main", 70.0), run(1, "main", 72.0), run(1, "fix", 10.0), run(2, "main", 71.0),
        until=DAY + timedelta(days=3),
    )  # fmt: skip
    assert (found.branch, found.coverage) == ("main", 71.0)
    assert found.series["coverage"] == tuple(
        (DAY + timedelta(days=n), v) for n, v in enumerate((70.0, 72.0, 71.0))
    )
    assert [value for _, value in found.series["runs"]] == [1.0, 2.0, 1.0, 0.0]


def test_every_series_has_at_most_one_point_a_day_in_order() -> None:
    runs = [ended(unit(success()), ship(success()), id=f"r{n}", until=86400.0 * n + 60) for n in (3, 0, 1)]
    found = figures(*runs, until=DAY + timedelta(days=4))
    for points in found.series.values():
        assert all(one[0] < other[0] for one, other in pairwise(points))
    assert ProjectFigures.model_validate_json(found.model_dump_json()) == found


def test_deploys_are_counted_by_environment_production_first() -> None:
    targets = ("staging", "staging", "production", "staging")
    runs = [ended(ship(success(), to=to), id=str(number)) for number, to in enumerate(targets)]
    found = figures(*runs, until=DAY + timedelta(days=1)).dora
    assert [(each.environment, each.deploys, each.per_day, each.failure_rate) for each in found] == [
        ("production", 1, 0.5, 0.0),
        ("staging", 3, 1.5, 0.0),
    ]


def test_time_to_restore_is_from_the_first_failed_deploys_begin_to_the_next_good_ones_end() -> None:
    found = figures(
        ended(ship(success(), 0, 10), id="a"),
        ended(ship(failure(), 100, 110), id="b"),
        ended(ship(failure(), 200, 210), id="c"),
        ended(ship(success(), 300, 310), id="d"),
        ended(ship(failure(), 400, 410), id="e"),
    ).dora[0]
    assert (found.deploys, found.failure_rate) == (5, 0.6)
    assert found.restore == 210
    assert found.failing_since == at(400)


def test_a_rollback_restores_be_it_the_runs_or_the_agents_own() -> None:
    undone = ended(ship(success(), 0, 10, rolled_back=40.0), id="a")
    itself = ended(ship(failure(outputs={"rolled_back": "true"}), 100, 120), id="b")
    found = figures(undone, itself).dora[0]
    assert (found.failure_rate, found.restore, found.failing_since) == (1.0, 30, None)


def test_a_failed_case_is_no_flaky_one() -> None:
    failed = r.Tests(failed=1, failed_cases=(FailedCase(id="t::x", name="x"),))
    assert figures(ended(unit(failure(tests=failed)))).flaky == ()
