from __future__ import annotations

import pytest

from tests.cli.house import House, triggers
from tests.core.building import CHANGE, START, a_plan, stage
from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import InvalidConfig, Problem
from turnout.core.messages import RunRequested
from turnout.core.model import Outcome
from turnout.core.nothing import Nothing
from turnout.core.plan import Plan
from turnout.core.ports import Delivery
from turnout.core.result import FailedCase, Finding, Findings
from turnout.core.result import Tests as Counts
from turnout.core.run import Run

FINDINGS = Findings(
    counts={"high": 1}, named=(Finding(rule="E1", severity="high", message="no", path="a.py", line=3),)
)


def two() -> Plan:
    return a_plan(stage("lint", agent="lint"), stage("test", "lint", agent="test"))


def failed(house: House) -> Run:
    """A run that ended badly, with logs, a failed test and a finding."""
    run = house.push(two(), title="Sell [bold]tea[/bold]", author="ada")
    house.ends(run, "lint", log="all is\nwell\n", summary="clean", findings=FINDINGS)
    counts = Counts(total=2, failed=1, failed_cases=(FailedCase(id="x", name="test_tea", message="cold"),))
    return house.ends(
        run, "test", Outcome.FAILURE, log="1 failed", summary="1 of 2 tests failed", tests=counts
    )


def test_runs_are_listed_newest_first(house: House) -> None:
    first = failed(house)
    second = house.push(two(), "t2", branch="tea", title="Sell more")
    said = house.turnout("runs")
    assert said.status == 0
    lines = said.out.splitlines()
    assert second.id[:12] in lines[1]
    assert first.id[:12] in lines[2]
    assert "Sell [bold]tea[/bold]" in lines[2]
    rows = house.turnout("runs", "--json").json
    assert [(row["id"], row["outcome"], row["number"]) for row in rows] == [
        (second.id, "", 2),
        (first.id, "failure", 1),
    ]
    assert rows[0]["finished_at"] is None
    assert rows[1]["finished_at"] > rows[1]["created_at"]


def test_a_list_of_runs_can_be_narrowed(house: House) -> None:
    for number, branch in enumerate(["main", "tea", "main"]):
        house.push(two(), f"t{number}", branch=branch)
    assert len(house.turnout("runs", "--branch", "main", "--json").json) == 2
    assert len(house.turnout("runs", "--limit", "1", "--json").json) == 1
    assert house.turnout("runs", "--project", "nobody/nothing", "--json").json == []


def test_where_nothing_has_run_the_lists_are_empty_and_say_what_to_do(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    assert house.turnout("runs").out == "No runs yet. `turnout run` makes one.\n"
    assert house.turnout("deliveries").out == "No deliveries yet.\n"
    monkeypatch.setenv("TURNOUT_HOME", str(tmp_path_factory.mktemp("new") / "home"))
    assert house.turnout("runs", "--json").json == []


def test_a_run_is_shown_with_its_stages_attempts_and_what_failed(house: House) -> None:
    run = failed(house)
    said = house.turnout("show", run.id)
    assert said.status == 0
    for each in (
        "failure",
        "Sell [bold]tea[/bold] — ada",
        run.id,
        "lint #1 ✔ clean",
        "✘ test_tea  cold",
        "test",
    ):
        assert each in said.out
    assert "high a.py:3 no" not in said.out, "findings of a stage that went well are no news"
    assert house.turnout("show", run.id, "--json").json == run.to_json()


def test_findings_of_a_stage_that_failed_are_shown(house: House) -> None:
    run = house.push(two())
    house.ends(run, "lint", Outcome.FAILURE, summary="1 finding", findings=FINDINGS)
    assert "high a.py:3 no" in house.turnout("show", run.id).out


@pytest.mark.parametrize("called", ["latest", "1", "#1", "acme/shop#1", "beginning", "CAPITALS"])
def test_a_run_is_found_by_what_people_call_it(house: House, called: str) -> None:
    run = house.push(two(), triggers(1)[0])
    by = {"beginning": run.id[:8], "CAPITALS": run.id[:8].upper()}.get(called, called)
    assert house.turnout("show", by, "--json").json["id"] == run.id


def test_a_broken_pipeline_file_is_shown_with_its_problems(house: House) -> None:
    problem = Problem(
        "pipeline.yml", 3, 7, "pipeline.stages[0]", "unknown agent `lnit`", "did you mean `lint`?"
    )
    run = house.push(InvalidConfig([problem]))
    assert str(problem) in house.turnout("show", run.id).out
    assert str(problem) in house.turnout("explain", run.id).out


@pytest.mark.parametrize("verb", ["show", "events", "logs", "explain", "cancel", "rerun"])
def test_an_unknown_run_is_one_clear_line(house: House, verb: str) -> None:
    said = house.turnout(verb, "nobody", "--json")
    assert (said.status, said.out) == (2, "")
    assert said.err == "turnout: no run 'nobody' (`turnout runs` lists them)\n"


def test_a_beginning_that_fits_several_runs_names_them(house: House) -> None:
    first, second = (house.push(two(), trigger) for trigger in triggers(2))
    said = house.turnout("show", first.id[:1])
    assert said.status == 2
    assert said.err.startswith(f"turnout: several runs begin with '{first.id[:1]}': ")
    assert first.id[:12] in said.err
    assert second.id[:12] in said.err
    assert said.err.count("\n") == 1


def test_everything_that_happened_is_told_in_order(house: House) -> None:
    run = failed(house)
    stored = house.store.events(run.id)
    said = house.turnout("events", run.id)
    assert len(said.out.splitlines()) == len(stored) == run.version
    lines = house.turnout("events", run.id, "--json").lines
    assert [line["version"] for line in lines] == list(range(1, run.version + 1))
    assert [line["event"] for line in lines] == [each.event.to_json() for each in stored]


def test_logs_are_printed_by_task_and_attempt(house: House) -> None:
    run = failed(house)
    assert house.turnout("logs", run.id).out == (
        "── lint · attempt 1 ──\nall is\nwell\n── test · attempt 1 ──\n1 failed\n"
    )
    assert house.turnout("logs", run.id, "test").out == "── test · attempt 1 ──\n1 failed\n"
    assert house.turnout("logs", run.id, "lint", "--json").json == {
        "task": "lint",
        "attempt": 1,
        "offset": 0,
        "text": "all is\nwell\n",
    }


def test_logs_of_a_run_that_has_ended_are_not_waited_for(house: House) -> None:
    run = failed(house)
    assert house.turnout("logs", "-f", run.id).out == house.turnout("logs", run.id).out


def test_a_log_that_grows_is_followed_line_by_line(
    house: House, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = house.push(a_plan(stage("lint")))
    key = attempt_key(run.id, "lint", 1)
    house.wiring.artifacts.append(key, b"one\nha")
    printed: list[str] = []

    def meanwhile(_seconds: float) -> None:
        printed.append(capsys.readouterr().out)
        if len(printed) == 1:
            house.wiring.artifacts.append(key, b"lf\ntwo")
        else:
            house.ends(run, "lint")

    monkeypatch.setattr("turnout.cli.logs.time.sleep", meanwhile)
    last = house.turnout("logs", "-f", run.id).out
    assert [*printed, last] == ["── lint · attempt 1 ──\none\n", "half\n", "two\n"]


def test_a_stage_that_the_run_does_not_have_is_told_those_it_has(house: House) -> None:
    run = failed(house)
    for verb in ("logs", "explain"):
        said = house.turnout(verb, run.id, "tset")
        assert said.status == 2
        assert said.err == f"turnout: run {run.id[:12]} has no stage 'tset' (it has lint, test)\n"


def test_why_is_told_in_sentences(house: House) -> None:
    run = failed(house)
    said = house.turnout("explain", run.id, "test")
    assert "The agent ended test as failure: 1 of 2 tests failed." in said.out.splitlines()
    given = house.turnout("explain", run.id, "test", "--json").json
    assert given["about"] == said.out.splitlines()[: len(given["about"])]
    ended = next(each for each in given["causes"] if each["event"] == "task_finished")
    assert (ended["rule"], ended["values"]["retries.max"], ended["stage"]) == ("retries", 0, "test")
    assert f"  ↳ W{ended['flips'][0][1:]}." in said.out.splitlines()
    whole = house.turnout("explain", run.id).out
    assert "The run ended as failure: test ended as failure: 1 of 2 tests failed." in whole


def test_why_a_delivery_started_nothing_is_told_too(house: House) -> None:
    house.delivered("d-1", "on.push.branches: got 'tea', expected main")
    told = "Nothing ran for delivery d-1: on.push.branches: got 'tea', expected main."
    assert house.turnout("explain", "d-1").out == told + "\n"
    assert house.turnout("explain", "d-1", "--json").json == [told]


def test_the_rule_that_started_nothing_is_told_with_what_it_saw_and_what_would_turn_it(house: House) -> None:
    why = Nothing(
        reason="`on.push.branches` lists main; this push is on tea",
        rule="on.push.branches",
        values={"on.push.branches": ["main"], "branch": "tea"},
        flips=("`on.push.branches` had a pattern for tea",),
    )
    row = Delivery(
        "d-1", "github", "push", "acme/shop", "ignored", START, sha="c" * 40, reason=why.reason, why=why
    )
    house.store.receive(row)
    told = [
        "Nothing ran for delivery d-1: `on.push.branches` lists main; this push is on tea.",
        "Rule: on.push.branches.",
        "It saw on.push.branches: main.",
        "It saw branch: tea.",
        "It would run if: `on.push.branches` had a pattern for tea.",
    ]
    for given in (("--delivery", "d-1"), ("--delivery", "cccc"), ("c" * 40,)):
        assert house.turnout("explain", *given, "--json").json == told
    assert house.turnout("deliveries", "--json").json[0]["why"]["rule"] == "on.push.branches"
    said = house.turnout("explain", "--delivery", "d-9")
    assert (said.status, said.err[:27]) == (2, "turnout: no delivery 'd-9',")


def test_a_commit_is_explained_by_all_its_deliveries(house: House) -> None:
    for number, run in enumerate(("", "r1")):
        status = "run" if run else "received"
        house.store.receive(
            Delivery(f"d-{number}", "github", "push", "acme/shop", status, START, run=run, sha="c" * 40)
        )
    assert house.turnout("explain", "--delivery", "cccccc").out.splitlines() == [
        "Delivery d-1 (push) became run r1.",
        "Delivery d-0 was received; the orchestrator has not answered it yet.",
    ]


def test_deliveries_are_told_with_what_became_of_them(house: House) -> None:
    house.delivered("d-1", "no [branch] of ours")
    said = house.turnout("deliveries")
    assert "no [branch] of ours" in said.out
    (row,) = house.turnout("deliveries", "--json").json
    assert (row["id"], row["status"], row["reason"]) == ("d-1", "ignored", "no [branch] of ours")
    assert house.turnout("deliveries", "--repository", "nobody/nothing", "--json").json == []


def test_a_delivery_that_became_a_run_is_explained_as_the_run(house: House) -> None:
    row = Delivery("d-2", "github", "push", "acme/shop", "published", START, message="t9")
    house.store.receive(row)
    waiting = "Delivery d-2 was received; the orchestrator has not answered it yet.\n"
    assert house.turnout("explain", "d-2").out == waiting
    house.plan = two()
    run = house.hear(RunRequested(trigger="t9", change=CHANGE, delivery="d-2"), id="t9")
    assert run is not None
    assert house.turnout("explain", "d-2").out == house.turnout("explain", run.id).out


def test_dead_letters_are_listed_where_there_are_none(house: House) -> None:
    assert house.turnout("dead-letters").out == "No dead letters.\n"
    assert house.turnout("dead-letters", "--json").json == {"letters": [], "retried": 0, "discarded": 0}


def test_a_stage_that_waits_for_its_environment_says_for_whom(house: House) -> None:
    plan = a_plan(stage("ship", agent="deploy", environment="staging"))
    first, second = house.push(plan), house.push(plan, "t2")
    said = house.turnout("show", second.id).out
    assert f"waits for environment staging: run {first.id[:8]} is at it" in " ".join(said.split())
    assert "waits for environment" not in house.turnout("show", first.id).out


def test_what_was_rolled_back_is_shown_with_who_asked_for_it(house: House) -> None:
    plan = a_plan(
        stage("ship", agent="deploy", environment="staging"), stage("smoke", "ship", rollback="ship")
    )
    run = house.push(plan)
    house.ends(run, "ship")
    house.ends(run, "smoke", Outcome.FAILURE, summary="no tea")
    assert "is being rolled back: smoke failed" in house.turnout("show", run.id).out
    house.ends(run, "ship[rollback]", summary="back at revision 3")
    said = house.turnout("show", run.id).out
    assert "rolled back: smoke failed" in said
    assert "back at revision 3" in said
