from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.adapters.repositories import repository
from tests.core.building import START
from tests.functions.serving import Answer, Served, Site
from tests.test_webhook import push
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.envelope import Envelope
from turnout.core.ids import delivery_message_id, run_id
from turnout.core.model import ChangeKind, Outcome
from turnout.core.policy import attempt_token
from turnout.core.result import Result
from turnout.core.run import Run

PIPELINE = "pipeline: {stages: [{agent: script, with: {run: make}}, lint], retry_on_failure: true}\n"


@pytest.fixture
def orchestrator(site: Site) -> Served:
    site.start("orchestrator", "webhook")
    return site["orchestrator"]


@pytest.fixture(scope="module")
def shop(site: Site) -> str:
    """The commit of a repository that the site serves; ``acme/away`` is served too, but its remote does not answer."""
    sha = repository(site.home / "shop", pipeline_dot_yml=PIPELINE)
    serve(site, "acme/shop", str(site.home / "shop"))
    serve(site, "acme/away", "http://127.0.0.1:1/away.git")
    return sha


def serve(site: Site, name: str, clone_url: str) -> None:
    folder = site.wiring.settings.projects_folder
    folder.mkdir(exist_ok=True)
    text = f'project: {{repository: {name}, clone_url: "{clone_url}"}}\n'
    (folder / f"{Path(name).name}.yml").write_text(text)


def wanted(repository: str, sha: str, trigger: str) -> Envelope:
    change = Change(
        kind=ChangeKind.PUSH,
        repository=repository,
        clone_url="",
        ref="refs/heads/main",
        sha=sha,
        branch="main",
    )
    message = m.RunRequested(trigger=trigger, change=change, delivery=trigger)
    return m.wrap(message, id=trigger, source="/test", at=START)


def run_of(site: Site, trigger: str) -> Run:
    found = site.wiring.store.load(run_id(trigger))
    assert found is not None
    return found


def finished(site: Site, run: Run, token: str = "") -> m.TaskFinished:
    (attempt,) = [task.current.id for _, task in run.tasks() if task.current]
    return m.TaskFinished(
        run=run.id,
        task=next(task.id for _, task in run.tasks() if task.current),
        attempt=attempt,
        token=token or attempt_token(site.wiring.settings.key(), attempt),
        at=START,
        result=Result(outcome=Outcome.SUCCESS),
    )


def hand(orchestrator: Served, message: m.Message, id: str) -> Answer:
    return orchestrator.hand(m.wrap(message, id=id, source="/test", at=START))


def test_a_delivery_becomes_a_run_whose_first_task_is_on_the_bus(
    site: Site, orchestrator: Served, shop: str
) -> None:
    payload = push(after=shop, head_commit={"id": shop, "message": "Sell tea"})
    delivered = site["webhook"].deliver(payload, delivery="loop")
    trigger = delivery_message_id("github", "loop")
    (request,) = [each for each in site.published("pipeline.events") if each.id == trigger]
    assert orchestrator.hand(request).status == 200
    run = run_of(site, trigger)
    assert (run.id, list(run.stages)) == (delivered.json["run"], ["script", "lint"])
    (task,) = [m.parse(each) for each in site.published("agent.script") if each.data["run"] == run.id]
    assert isinstance(task, m.TaskRequested)
    assert (task.checkout.sha, task.options) == (shop, {"run": "make"})
    (delivery,) = [each for each in site.wiring.store.deliveries() if each.id == "loop"]
    assert (delivery.status, delivery.run) == ("run", run.id)


def test_the_same_message_again_is_taken_and_changes_nothing(
    site: Site, orchestrator: Served, shop: str
) -> None:
    envelope = wanted("acme/shop", shop, "twice")
    assert orchestrator.hand(envelope).status == 200
    before = run_of(site, "twice")
    assert orchestrator.hand(envelope).status == 200
    assert run_of(site, "twice") == before


def test_a_result_brings_the_next_stage(site: Site, orchestrator: Served, shop: str) -> None:
    orchestrator.hand(wanted("acme/shop", shop, "result"))
    run = run_of(site, "result")
    assert hand(orchestrator, finished(site, run), "m-result").status == 200
    assert [task.id for _, task in run_of(site, "result").tasks() if task.active] == ["lint"]


def test_a_forged_result_is_taken_and_ignored(site: Site, orchestrator: Served, shop: str) -> None:
    orchestrator.hand(wanted("acme/shop", shop, "forged"))
    run = run_of(site, "forged")
    assert hand(orchestrator, finished(site, run, token="a guess"), "m-forged").status == 200
    after = run_of(site, "forged")
    assert (after.version, after.stages) == (run.version + 1, run.stages)


def test_a_repository_that_nobody_serves_makes_no_run_and_the_message_is_done(
    site: Site, orchestrator: Served
) -> None:
    assert orchestrator.hand(wanted("acme/nobody", "a" * 40, "nobody")).status == 200
    assert site.wiring.store.load(run_id("nobody")) is None


def test_while_the_remote_does_not_answer_the_message_is_to_come_again(
    site: Site, orchestrator: Served, shop: str
) -> None:
    answer = orchestrator.hand(wanted("acme/away", "a" * 40, "away"))
    assert answer.status == 503
    assert "127.0.0.1:1" in answer.text
    assert not site.wiring.store.seen("away")
    serve(site, "acme/away", str(site.home / "shop"))
    assert orchestrator.hand(wanted("acme/away", shop, "away")).status == 200
    assert run_of(site, "away").project == "acme/away"


def request(**changes: Any) -> Envelope:
    data = wanted("acme/shop", "a" * 40, "x").data
    return Envelope("x", m.RunRequested.type, "/test", {**data, **changes})


@pytest.mark.parametrize(
    ("envelope", "reason"),
    [
        (request(trigger=7), "data.trigger: Input should be a valid string, got '7'"),
        (request(change={"kind": "push", "suprise": 1}), "data.change.repository: Field required\n"),
        (
            Envelope("x", "turnout.run.mend", "/test", {"run": "a"}),
            "type: got 'turnout.run.mend', expected one of ",
        ),
        (Envelope("x", "nope", "/test", {}), "type: got 'nope', expected one of "),
        (
            Envelope("x", m.CancelTask.type, "/test", dict.fromkeys(m.CancelTask.model_fields, "x")),
            "type: turnout.task.cancel is no message for the orchestrator",
        ),
        (
            Envelope("x", m.CancelRun.type, "/test", {"run": "nobody", "by": "ada"}),
            "no run nobody (it may have been started on another store)",
        ),
    ],
)
def test_a_message_that_can_never_be_handled_is_refused_with_the_reason_alone(
    orchestrator: Served, envelope: Envelope, reason: str
) -> None:
    answer = orchestrator.hand(envelope)
    assert answer.status == 422
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.startswith(reason)
    assert answer.text.count("\n") == 1


CE = {"ce-id": "x", "ce-source": "/s", "ce-type": "turnout.run.requested", "ce-specversion": "1.0"}
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ({}, b""),
        (JSON, b"{}"),
        (CE, b""),
        (CE | JSON, b"{"),
        (CE | JSON, b"[]"),
        (CE | JSON, b"\xff\xfe"),
        (CE | JSON | {"ce-time": "yesterday"}, b"{}"),
        (CE | JSON | {"ce-specversion": "9"}, b"{}"),
        ({"content-type": "application/cloudevents+json"}, b"{}"),
        ({"content-type": "application/cloudevents+json"}, b"no"),
        (JSON, b'{"context": {"eventId": "1"}, "data": {}}'),
    ],
)
def test_what_is_no_event_at_all_is_refused_for_good(
    orchestrator: Served, headers: dict[str, str], body: bytes
) -> None:
    answer = orchestrator.send("POST", body, headers)
    assert 400 <= answer.status < 500, answer


def test_it_is_spoken_to_by_posts_alone(orchestrator: Served) -> None:
    assert orchestrator.send("GET").status == 405
