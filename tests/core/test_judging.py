from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from tests.attested import BUILT, IMAGE, OTHER, Works, delivery, envelopes
from turnout.adapters.signing import believe
from turnout.core.attestation import Passed, Statement
from turnout.core.judging import Verdict, judge
from turnout.core.model import Outcome
from turnout.core.run import Run

AT = datetime(2026, 1, 2, tzinfo=UTC)


def proved(works: Works, *runs: Run) -> list[Statement]:
    assert works.key is not None
    known = believe([works.key.public])
    return [known.open(each) for run in runs for each in envelopes(works.store, run)]


def a_delivery(works: Works, security: Outcome = Outcome.SUCCESS, trigger: str = "t1") -> Run:
    run = works.push(delivery(), trigger)
    works.ends(run, "test")
    works.ends(run, "build", outputs=BUILT)
    return works.ends(run, "security", security)


def but(made: Statement, **changes: Any) -> Statement:
    return made.with_(predicate=made.predicate.with_(**changes))


def of(statements: list[Statement], stage: str) -> Statement:
    return next(each for each in statements if each.predicate.stage == stage)


def told(verdict: Verdict) -> str:
    return "; ".join(verdict.problems)


def test_an_image_is_known_by_who_built_it_and_what_has_passed_on_it() -> None:
    works = Works()
    run = a_delivery(works)
    verdict = judge(proved(works, run), IMAGE, ("test", "build", "security", "stage:security"), "acme/shop")
    assert verdict.problems == ()
    assert [each.stage for each in verdict.built] == ["build"]
    assert [each.stage for each in verdict.passed] == ["test", "security"]
    assert verdict.lines == (
        f"{IMAGE} was built by build in run {run.id[:12]}, attempt 1 of acme/shop from commit aaaaaaaaaaaa,"
        " plan dddddddddddd",
        f"test in run {run.id[:12]}, attempt 1 passed on it",
        f"security in run {run.id[:12]}, attempt 1 passed on it",
    )


def test_of_an_image_that_nobody_built_nothing_is_proved() -> None:
    works = Works()
    run = a_delivery(works)
    assert told(judge(proved(works, run), OTHER, ())) == f"nothing attests who built {OTHER}"
    assert told(judge([], IMAGE, ())) == f"nothing attests who built {IMAGE}"


def test_who_only_was_given_an_image_has_not_built_it() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    without = [each for each in statements if each.predicate.stage != "build"]
    assert "nothing attests who built" in told(judge(without, IMAGE, ()))


def test_who_passes_on_the_name_of_an_image_has_not_built_it() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    given = of(statements, "build").predicate.outputs
    shipped = but(of(statements, "security"), stage="ship", task="ship", inputs=given, outputs=given)
    verdict = judge([*statements, shipped], IMAGE, ("build",))
    assert [each.stage for each in verdict.built] == ["build"]
    assert "ship" in [each.stage for each in verdict.passed]
    assert "nothing attests who built" in told(judge([shipped], IMAGE, ()))


def test_what_is_asked_for_must_have_passed() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    verdict = judge(statements, IMAGE, ("lint", "stage:soak", "security"))
    assert verdict.problems == (
        "nothing attests that the lint agent has passed on it",
        "nothing attests that stage soak has passed on it",
    )


def test_a_failed_stage_is_no_pass() -> None:
    works = Works()
    run = a_delivery(works, Outcome.FAILURE)
    verdict = judge(proved(works, run), IMAGE, ("security",))
    assert verdict.problems == (f"security in run {run.id[:12]}, attempt 1 ended as failure",)
    assert verdict.lines[-1].endswith("ended as failure on it")


def test_of_each_task_the_newest_word_counts() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    again = but(of(statements, "security"), outcome=Outcome.FAILURE, finished_on=AT)
    assert "ended as failure" in told(judge([*statements, again], IMAGE, ("security",)))
    and_again = but(again, outcome=Outcome.SUCCESS, finished_on=AT + timedelta(seconds=1))
    for order in ([*statements, again, and_again], [and_again, again, *statements]):
        assert judge(order, IMAGE, ("security",)).problems == ()


def test_the_order_of_the_statements_says_nothing() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    wanted = ("test", "build", "security")
    assert judge(statements, IMAGE, wanted) == judge(statements[::-1], IMAGE, wanted)


def test_each_cell_of_a_matrix_must_have_passed() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    other = but(of(statements, "test"), task="test[python=3.12]", outcome=Outcome.TIMED_OUT)
    assert "test[python=3.12]" in told(judge([*statements, other], IMAGE, ("test",)))


def test_a_build_that_gave_another_image_is_no_build_of_this_one() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    step = but(
        of(statements, "build"),
        agent=of(statements, "build").predicate.agent.with_(kind="script"),
        stage="repack",
        task="repack",
    )
    base = but(
        of(statements, "build"), outputs=(Passed(stage="build", name="base", digest={"sha256": "b" * 64}),)
    )
    verdict = judge([step, base], IMAGE, ("build",))
    assert told(verdict) == "nothing attests that the build agent has passed on it"


def test_a_build_of_another_project_does_not_count() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    elsewhere = [but(each, project="evil/shop") for each in statements]
    assert (
        told(judge(elsewhere, IMAGE, (), "acme/shop"))
        == f"{IMAGE} was built for evil/shop, not for acme/shop"
    )
    assert judge(elsewhere, IMAGE, ()).problems == ()
    mixed = [of(statements, "build"), but(of(statements, "security"), project="evil/shop")]
    assert "security" in told(judge(mixed, IMAGE, ("security",), "acme/shop"))


def test_a_check_of_another_commit_or_by_another_plan_does_not_count() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    for change in ({"commit": "f" * 40}, {"plan": {"sha256": "e" * 64}}):
        mixed = [of(statements, "build"), but(of(statements, "security"), **change)]
        assert "security" in told(judge(mixed, IMAGE, ("security",)))


def test_one_of_several_builds_is_enough_but_one_whose_own_checks_passed() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    failed = [
        but(each, plan={"sha256": "e" * 64}, finished_on=AT, outcome=Outcome.FAILURE)
        if each.predicate.stage == "security"
        else but(each, plan={"sha256": "e" * 64}, finished_on=AT)
        for each in statements
    ]
    assert "ended as failure" in told(judge(failed, IMAGE, ("security",)))
    verdict = judge([*failed, *statements], IMAGE, ("security",))
    assert verdict.problems == ()
    assert {each.plan["sha256"] for each in verdict.built} == {"d" * 64}


def test_what_a_fork_built_is_never_enough() -> None:
    works = Works()
    statements = [but(each, fork=True) for each in proved(works, a_delivery(works))]
    assert told(judge(statements, IMAGE, ())) == f"{IMAGE} was built from a fork"


def test_a_build_that_failed_gives_nothing() -> None:
    works = Works()
    statements = proved(works, a_delivery(works))
    failed = but(of(statements, "build"), outcome=Outcome.ERROR)
    assert "nothing attests who built" in told(judge([failed], IMAGE, ()))
    later = but(of(statements, "build"), outcome=Outcome.ERROR, finished_on=AT)
    assert "failed" in told(judge([*statements, later], IMAGE, ()))


def test_uncommitted_changes_are_said() -> None:
    works = Works()
    statements = [but(each, dirty=True) for each in proved(works, a_delivery(works))]
    assert "with uncommitted changes" in judge(statements, IMAGE, ()).lines[0]
