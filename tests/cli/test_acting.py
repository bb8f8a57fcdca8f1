from __future__ import annotations

from typing import Any

import pytest

from tests.cli.house import House, Said
from tests.core.building import a_plan, stage
from turnout.core.errors import InvalidConfig, Problem
from turnout.core.ids import run_id
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Plan
from turnout.core.run import StageStatus


def two() -> Plan:
    return a_plan(stage("lint"), stage("test", "lint"))


def gated() -> Plan:
    return a_plan(stage("ship", approval=Approval()))


def refused(said: Said, message: str) -> None:
    assert (said.status, said.out) == (2, "")
    assert said.err.startswith(f"turnout: {message}")
    assert said.err.count("\n") == 1


def test_a_run_is_cancelled(house: House) -> None:
    run = house.push(two())
    said = house.turnout("cancel", "latest", "--reason", "wrong branch", "--by", "ada")
    assert said.status == 0
    assert f"run {run.id[:12]}: asked to stop; `turnout show {run.id[:12]}`" in said.out
    house.asked()
    run = house.ends(run, "lint", Outcome.CANCELLED)
    assert (run.outcome, run.cancelled_by, run.reason) == (Outcome.CANCELLED, "ada", "wrong branch")
    refused(house.turnout("cancel", run.id), f"run {run.id[:12]} has ended already")


def test_without_a_name_it_is_the_user_of_this_machine_who_asks(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = house.push(two())
    monkeypatch.setenv("LOGNAME", "grace")
    assert house.turnout("cancel", run.id, "--json").json == {"run": run.id, "asked": "cancel"}
    house.asked()
    assert house.run(run).cancelled_by == "grace"


def test_while_no_stack_is_up_it_is_said_who_will_do_it(house: House) -> None:
    house.push(two())
    assert (
        "No stack of this home is up: it waits in the log until `turnout up`."
        in house.turnout("cancel", "1").out
    )


@pytest.mark.parametrize(
    ("options", "mode", "first"),
    [([], "whole", "lint"), (["--failed"], "failed", "test"), (["--stage", "test"], "stage", "test")],
)
def test_a_run_is_run_again(house: House, options: list[str], mode: str, first: str) -> None:
    run = house.push(two())
    house.ends(run, "lint")
    house.ends(run, "test", Outcome.FAILURE)
    said = house.turnout("rerun", run.id, *options, "--json").json
    assert said["rerun_of"] == run.id
    house.asked()
    new = house.store.load(said["run"])
    assert new is not None
    assert (new.rerun_of, new.rerun_mode) == (run.id, mode)
    assert [task.id for _, task in new.tasks() if task.active] == [first]


def test_a_rerun_is_told_with_the_id_of_the_new_run(house: House) -> None:
    run = house.push(a_plan(stage("lint")))
    house.ends(run, "lint")
    said = house.turnout("rerun", "latest")
    assert said.status == 0
    house.asked()
    (new,) = [row.id for row in house.store.runs() if row.id != run.id]
    assert f"run {new[:12]} is to run {run.id[:12]} again" in said.out


def test_a_rerun_that_makes_no_sense_is_refused(house: House) -> None:
    run = house.push(two())
    refused(
        house.turnout("rerun", run.id),
        f"run {run.id[:12]} has not ended (`turnout cancel {run.id[:12]}` first)",
    )
    refused(
        house.turnout("rerun", run.id, "--failed", "--stage", "lint"),
        "--failed and --stage exclude each other",
    )
    house.ends(run, "lint", Outcome.FAILURE)
    refused(house.turnout("rerun", run.id, "--stage", "nobody"), "no stage 'nobody' (it has lint, test)")
    broken = house.push(InvalidConfig([Problem("pipeline.yml", 1, 1, "", "no", "")]), "t2")
    refused(house.turnout("rerun", broken.id), f"run {broken.id[:12]} has no plan")


@pytest.mark.parametrize(
    ("verb", "status"), [("approve", StageStatus.RUNNING), ("reject", StageStatus.FINISHED)]
)
@pytest.mark.parametrize("as_json", [False, True])
def test_a_stage_that_waits_is_decided_on(
    house: House, verb: str, status: StageStatus, as_json: bool
) -> None:
    run = house.push(gated())
    arguments = [verb, run.id, "ship", "--comment", "as agreed", "--by", "ada"]
    said = house.turnout(*arguments, *(["--json"] if as_json else []))
    assert said.status == 0
    if as_json:
        assert said.json == {"run": run.id, "asked": verb}
    house.asked()
    assert house.run(run).stages["ship"].status is status
    assert "ada (as agreed)" in house.turnout("explain", run.id, "ship").out


def test_a_decision_on_nothing_is_refused(house: House) -> None:
    run = house.push(two())
    refused(house.turnout("approve", run.id, "nobody"), "no stage 'nobody' (it has lint, test)")
    refused(house.turnout("reject", run.id, "lint"), "lint does not wait for approval")


# --- what is wrong around it -----------------------------------------------------------------------------


@pytest.mark.parametrize("arguments", [["deliveries", "--json"], ["cancel", "1"]])
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("TURNOUT_LEASE", "soon", "settings: TURNOUT_LEASE: Input should be a valid number"),
        ("TURNOUT_DATABASE_URL", "cobol://x", "TURNOUT_DATABASE_URL: databases of the kind 'cobol'"),
        ("TURNOUT_DATABASE_URL", "sqlite:////no/such/folder/x.db", "/no/such/folder/x.db: unable to open"),
    ],
)
def test_broken_settings_are_one_clear_line(
    house: House, monkeypatch: pytest.MonkeyPatch, arguments: list[str], variable: str, value: str, said: str
) -> None:
    monkeypatch.setenv(variable, value)
    refused(house.turnout(*arguments), said)


def test_what_needs_no_settings_works_without_them(
    house: House, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.setenv("TURNOUT_LEASE", "soon")
    (tmp_path / "p.yml").write_text("pipeline: {stages: [lint]}\n")
    assert house.turnout("validate", str(tmp_path / "p.yml")).status == 0
    assert house.turnout("settings").out.startswith("| variable | default | meaning |")


def test_an_agent_that_there_is_not_is_refused(house: House) -> None:
    refused(house.turnout("agent", "serve", "coffee"), "no agent 'coffee' (known are lint, test, build")


def test_a_folder_that_there_is_not_is_no_checkout(house: House) -> None:
    refused(
        house.turnout("run", "/no/such/folder"), "/no/such/folder is no folder (give the path of a checkout)"
    )


def test_a_second_stack_is_refused_in_one_line(house: House) -> None:
    from turnout.stack.lock import StackLock

    first = StackLock(house.wiring.settings.home)
    assert first.take()
    refused(house.turnout("up", "--port", "0"), f"a stack of {house.wiring.settings.home} is up already")
    first.drop()


def test_whoever_looks_for_a_defect_gets_to_see_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    from turnout.core.errors import NotFound

    monkeypatch.setenv("TURNOUT_DEBUG", "1")
    with pytest.raises(NotFound):
        house.turnout("show", run_id("nobody"))


def test_what_is_done_here_is_in_the_audit_log_too(house: House) -> None:
    run = house.push(two())
    assert house.turnout("cancel", run.id, "--by", "ada").status == 0
    (entry,) = house.wiring.accounts.audit_log()
    assert (entry.person, entry.via, entry.action, entry.subject) == ("local:ada", "cli", "cancel", run.id)
