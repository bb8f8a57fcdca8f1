"""One contract for both: what is said of a system is the same, here and through a console."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from tests.cli.conftest import house, template
from tests.cli.house import House
from tests.console.visiting import InProcess, app_of
from tests.core.building import a_plan, stage
from turnout import wiring as composition
from turnout.acting import NotNow
from turnout.adapters.console_client import ConsoleClient
from turnout.adapters.remote import Remote
from turnout.cli.reaching import here
from turnout.core.dead_letters import dead_letter
from turnout.core.envelope import Received, Record
from turnout.core.errors import NotFound, PermanentError
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.ports import RunFilter
from turnout.core.run import Run
from turnout.reach import Reach

__all__ = ["house", "template"]
LOCALHOST = "http://localhost"


@pytest.fixture(params=["here", "console"])
def reached(request: pytest.FixtureRequest, house: House, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reach]:
    monkeypatch.setattr(composition, "_made", (os.getpid(), house.wiring))
    if request.param == "here":
        yield here()
        return
    yield Remote(console(house, house.wiring.settings.console_token()))


def console(house: House, token: str) -> ConsoleClient:
    return ConsoleClient(LOCALHOST, token, transport=InProcess(app_of(house.wiring)))


def gated(house: House) -> Run:
    house.push(a_plan(stage("test"), stage("ship", "test", approval=Approval())))
    run = house.push(a_plan(stage("test"), stage("ship", "test", approval=Approval())), "t2", author="ada")
    return house.ends(run, "test", log="one\ntwo\n", outputs={"image": "shop@sha256:1"})


def test_runs_are_listed_newest_first_page_by_page(reached: Reach, house: House) -> None:
    run = gated(house)
    first = reached.sight.runs(limit=1)
    assert [row.id for row in first.items] == [run.id]
    second = reached.sight.runs(cursor=first.next, limit=1)
    assert (len(second.items), second.next) == (1, "")
    assert reached.sight.runs(RunFilter(person="ada")).items == first.items
    assert reached.sight.runs(RunFilter(person="nobody")).items == ()


@pytest.mark.parametrize("given", ["latest", "2", "acme/shop#2", "#2"])
def test_a_run_is_found_as_people_call_it(reached: Reach, house: House, given: str) -> None:
    run = gated(house)
    assert reached.sight.run(given) == run
    assert reached.sight.run(run.id[:8]) == run
    assert [row.id for row in reached.sight.named(given)] == [run.id]


def test_what_is_not_there_is_said_not_to_be(reached: Reach, house: House) -> None:
    run = gated(house)
    for missing in ("deadbeef", "acme/shop#7", "../runs"):
        with pytest.raises(NotFound, match="no run"):
            reached.sight.run(missing)
    with pytest.raises(NotFound):
        reached.sight.at(run.id, 99)
    with pytest.raises(NotFound):
        reached.sight.log(run.id, "test", 7)
    with pytest.raises(NotFound):
        reached.sight.explain(run.id, "nothing")


def test_a_run_is_told_event_by_event_as_it_was_and_why(reached: Reach, house: House) -> None:
    run = gated(house)
    history = reached.sight.events(run.id)
    assert history == house.store.events(run.id)
    assert reached.sight.events(run.id, after=3) == history[3:]
    assert reached.sight.at(run.id, run.version) == run
    assert reached.sight.at(run.id, 1).version == 1
    looking = house.wiring.looking
    assert reached.sight.explain(run.id, "test") == looking.explain(run.id, "test")
    assert reached.sight.why(run.id) == looking.why(run.id)
    assert len(reached.sight.why(run.id)) > 3


def test_logs_come_in_parts(reached: Reach, house: House) -> None:
    run = gated(house)
    (log,) = [each for each in reached.sight.logs(run.id) if each.size]
    assert (log.stage, log.task, log.attempt, log.size, log.ended) == ("test", "test", 1, 8, True)
    part = reached.sight.log(run.id, "test", 1, start=4, most=2)
    assert (part.content, part.next, part.size, part.ended) == (b"tw", 6, 8, True)
    assert reached.sight.log(run.id, "test", 1, start=8).content == b""


def test_deliveries_tell_what_became_of_them(reached: Reach, house: House) -> None:
    house.delivered("d1", "no stage takes part")
    (found,) = reached.sight.deliveries(repository="acme/shop").items
    assert found == house.wiring.looking.deliveries().items[0]
    assert reached.sight.delivered("d1") == (found,)
    assert reached.sight.deliveries(repository="acme/other").items == ()
    house.delivered("d2", "still no stage")
    first = reached.sight.deliveries(limit=1)
    assert ([each.id for each in first.items], first.next != "") == (["d2"], True)
    second = reached.sight.deliveries(cursor=first.next, limit=1)
    assert ([each.id for each in second.items], second.next) == (["d1"], "")


def test_a_stage_is_approved_a_run_cancelled_and_run_again(reached: Reach, house: House) -> None:
    run = gated(house)
    reached.decide("approve", run, "ship", "", "go")
    house.asked()
    run = house.run(run)
    assert [each.comment for each in run.stages["ship"].approvals] == ["go"]
    with pytest.raises(NotNow, match="does not wait"):
        reached.decide("approve", run, "ship", "", "again")
    with pytest.raises(NotNow, match="has not ended"):
        reached.rerun(run, "", failed=False, stage="")
    reached.cancel(run, "", "enough")
    house.asked()
    run = house.ends(run, "ship", Outcome.CANCELLED)
    assert (run.outcome, run.reason) == (Outcome.CANCELLED, "enough")
    with pytest.raises(NotNow, match="has ended already"):
        reached.cancel(run, "", "")
    with pytest.raises(NotFound, match="no stage"):
        reached.rerun(run, "", failed=False, stage="none")
    new = reached.rerun(run, "", failed=False, stage="")
    house.asked()
    assert reached.sight.run(new).rerun_of == run.id


def test_dead_letters_are_put_back_or_given_up(reached: Reach, house: House) -> None:
    lost = Received(Record("pipeline.dlq", "acme/shop", b"{}", (("ce_id", b"1"),)), 0, 7, 0.0)
    for reason in ("one", "two"):
        letter = dead_letter(
            lost, group="functions", reason=reason, status=422, tries=1, at=datetime(2026, 1, 1, tzinfo=UTC)
        )
        house.wiring.producer.publish([letter])
    first, second = reached.sight.letters()
    assert (first.reason, first.record.topic, first.status) == ("one", "pipeline.dlq", 422)
    assert reached.retry([first]) == 1
    assert [each.id for each in reached.sight.letters()] == [second.id]
    assert reached.discard([second]) == 1
    assert reached.sight.letters() == ()
    assert reached.retry([]) == 0


def test_a_project_has_the_same_figures(reached: Reach, house: House) -> None:
    run = gated(house)
    house.ends(house.push(a_plan(stage("test")), "t3"), "test")
    house.wiring.figuring.catch_up()
    since = run.created_at.date()
    found = reached.sight.project("acme/shop", since)
    assert (found.runs, found.project) == ({"success": 1}, "acme/shop")
    assert found == house.wiring.looking.project("acme/shop", since)


def test_the_ledger_is_the_same(reached: Reach, house: House) -> None:
    gated(house)
    since = datetime(2020, 1, 1, tzinfo=UTC)
    account = reached.account(since)
    assert account.since == since
    assert account.lines == house.wiring.auditing.account(since).lines


def test_a_console_that_does_not_know_the_token_says_what_to_do(house: House) -> None:
    with pytest.raises(PermanentError, match="turnout login"):
        Remote(console(house, "wrong")).sight.runs()


def test_attestations_are_the_envelopes_that_were_signed(reached: Reach, house: House) -> None:
    run = gated(house)
    assert reached.sight.signed(run.id) == house.wiring.looking.signed(run.id)


def test_a_pipeline_file_is_tried_on_recorded_changes(reached: Reach, house: House) -> None:
    gated(house)
    old, new = "pipeline: {stages: [test]}", "pipeline: {stages: [test, lint]}"
    found = reached.simulate("acme/shop", old, new, last=5, file="pipeline.yml")
    assert found.differs
    assert found == here().simulate("acme/shop", old, new, last=5, file="pipeline.yml")
    with pytest.raises(PermanentError, match="unknown agent"):
        reached.simulate("acme/shop", old, "pipeline: {stages: [tset]}", last=5, file="pipeline.yml")
