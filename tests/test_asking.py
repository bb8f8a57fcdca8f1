"""What people ask for on GitHub, from the payload to the message on the bus."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from unittest.mock import Mock

import pytest

from local.github.hub import Fault, Hub
from local.github.stand_in import StandIn
from tests.core.building import START, Story, a_plan, stage
from tests.reporting.telling import CHANGE, TWO_FAILED, ends, pipeline, told
from tests.test_orchestration import KEY, FakeClock, FakeProducer
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import TokenAuth
from turnout.adapters.github_payload import read_payload
from turnout.adapters.github_people import GitHubPeople
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.system_clock import SystemClock
from turnout.asking import Asking
from turnout.core import messages as m
from turnout.core.envelope import open_record
from turnout.core.ids import run_id
from turnout.core.model import ChangeKind
from turnout.core.plan import Approval
from turnout.core.ports import Commit
from turnout.orchestration import Orchestrator
from turnout.webhook import Answer, Webhook, sign

SECRET = b"secret"
REPOSITORY = {"full_name": "acme/shop", "clone_url": "https://github.com/acme/shop.git"}
PULL = CHANGE.with_(kind=ChangeKind.PULL_REQUEST, number=7, base_branch="main", branch="fix")


class Door:
    """A webhook whose people are those of the stand-in, and the runs that are there."""

    def __init__(self, github: StandIn) -> None:
        self.hub: Hub = github.hub
        self.hub.people |= {"ada": "write", "eve": "read"}
        self.api = GitHubApi(TokenAuth("ghp_plain"), SystemClock(), base_url=github.url)
        self.store, self.producer = MemoryStore(), FakeProducer()
        asking = Asking(self.store, GitHubPeople(self.api))
        self.webhook = Webhook(self.store, self.producer, FakeClock(), (SECRET,), read_payload, asking)
        self._deliveries = 0

    def put(self, story: Story) -> str:
        run = story.run
        self.store.commit(Commit(run, 0, tuple(story.history), (), START))
        return run.id

    def post(self, event: str, payload: dict[str, Any], delivery: str = "") -> Answer:
        self._deliveries += 1
        body = json.dumps({"repository": REPOSITORY, "sender": {"login": "ada"}, **payload}).encode()
        headers = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery or f"d{self._deliveries}",
            "X-Hub-Signature-256": sign(SECRET, body),
        }
        return self.webhook.receive(headers, body)

    def comment(self, text: str, by: str = "ada", **more: Any) -> Answer:
        issue = {"number": 7, "pull_request": {}} | more
        payload = {"action": "created", "issue": issue, "comment": {"body": text}, "sender": {"login": by}}
        return self.post("issue_comment", payload)

    @property
    def sent(self) -> list[m.Message]:
        return self.producer.messages(m.Message)


@pytest.fixture
def door() -> Iterator[Door]:
    with StandIn() as running:
        made = Door(running)
        yield made
        made.api.close()


def failed() -> Story:
    change = PULL.with_(repository="acme/shop")
    return ends(
        ends(told(pipeline(), change=change, project="acme/shop"), "lint", TWO_FAILED), "lint", TWO_FAILED
    )


def waiting(**approval: Any) -> Story:
    plan = a_plan(stage("ship", approval=Approval(**approval)), stage("other"))
    return told(plan, change=PULL, project="acme/shop")


def test_the_rerun_button_of_a_check_reruns_its_stage(door: Door) -> None:
    run = door.put(failed())
    check = {"external_id": f"{run}:check:lint", "head_sha": CHANGE.sha}
    answer = door.post("check_run", {"action": "rerequested", "check_run": check})
    (sent,) = door.sent
    assert isinstance(sent, m.RerunRun)
    assert (sent.run, sent.mode, sent.stage, sent.by) == (run, "stage", "lint", "ada")
    assert answer.body["run"] == run_id(sent.trigger)


def test_the_button_for_all_checks_reruns_the_newest_run_of_the_commit(door: Door) -> None:
    run = door.put(failed())
    door.post("check_suite", {"action": "rerequested", "check_suite": {"head_sha": CHANGE.sha}})
    (sent,) = door.sent
    assert isinstance(sent, m.RerunRun)
    assert (sent.run, sent.mode) == (run, "whole")


@pytest.mark.parametrize(("button", "kind"), [("approve", m.Approve), ("reject", m.Reject)])
def test_the_buttons_of_a_check_that_waits_decide(door: Door, button: str, kind: type[m.Message]) -> None:
    run = door.put(waiting())
    payload = {
        "action": "requested_action",
        "check_run": {"external_id": f"{run}:check:ship", "head_sha": CHANGE.sha},
        "requested_action": {"identifier": button},
    }
    door.post("check_run", payload)
    (sent,) = door.sent
    assert isinstance(sent, kind)
    assert isinstance(sent, m.Approve | m.Reject)
    assert (sent.run, sent.stage, sent.by) == (run, "ship", "ada")


@pytest.mark.parametrize(
    ("text", "mode", "stage"),
    [
        ("/turnout rerun", "whole", ""),
        ("/turnout rerun failed", "failed", ""),
        ("  /turnout   rerun lint\nplease", "stage", "lint"),
    ],
)
def test_a_comment_reruns(door: Door, text: str, mode: str, stage: str) -> None:
    run = door.put(failed())
    door.comment(text)
    (sent,) = door.sent
    assert isinstance(sent, m.RerunRun)
    assert (sent.run, sent.mode, sent.stage) == (run, mode, stage)


def test_a_rerun_that_nothing_comes_of_leaves_its_reason_with_the_delivery(door: Door) -> None:
    door.put(told(pipeline(), change=PULL, project="acme/shop"))
    promised = door.comment("/turnout rerun").body["run"]
    nobody = Mock(side_effect=AssertionError("a rerun is not planned"))
    orchestrator = Orchestrator(door.store, door.producer, nobody, FakeClock(), KEY)
    (record,) = door.producer.records
    assert orchestrator.handle(open_record(record)).run is None
    assert door.store.load(promised) is None
    (row,) = door.store.deliveries()
    assert (row.status, row.run) == ("ignored", "")
    assert "has not finished" in row.reason


def test_a_comment_cancels_the_newest_run_of_the_pull_request(door: Door) -> None:
    run = door.put(told(pipeline(), change=PULL, project="acme/shop"))
    door.comment("/turnout cancel")
    assert door.sent == [m.CancelRun(run=run, by="ada")]
    row = door.store.deliveries()[0]
    assert (row.status, row.run, row.reason) == ("run", run, "cancel asked for by ada")


def test_a_comment_runs_what_the_pull_request_has_now(door: Door) -> None:
    end = {"ref": "fix", "sha": "c" * 40, "repo": REPOSITORY}
    door.hub.pulls[7] = {"id": 7, "number": 7, "head": end, "base": end | {"ref": "main", "sha": "d" * 40}}
    door.comment("/turnout run")
    (sent,) = door.sent
    assert isinstance(sent, m.RunRequested)
    assert (sent.change.sha, sent.change.number, sent.requested_by) == ("c" * 40, 7, "ada")


@pytest.mark.parametrize("by", ["eve", "mallory", "../admin", "github-actions[bot]", ""])
def test_who_may_not_write_is_told_nothing_and_it_is_recorded(door: Door, by: str) -> None:
    door.put(failed())
    answer = door.comment("/turnout rerun", by=by)
    assert answer.status == 202
    assert not door.sent
    row = door.store.deliveries()[0]
    assert row.status == "ignored"
    assert "may not write" in row.reason or "does not say who" in row.reason


def test_an_approval_carries_the_teams_that_the_person_is_in(door: Door) -> None:
    door.hub.teams["acme/release"] = {"ada"}
    door.put(waiting(by=("@acme/release", "@acme/other", "@bob")))
    door.comment("/turnout approve")
    (sent,) = door.sent
    assert isinstance(sent, m.Approve)
    assert sent.teams == ("@acme/release",)


def test_a_comment_approves_no_run_that_is_newer_than_it(door: Door) -> None:
    run = door.put(waiting())
    said = {"body": "/turnout approve", "created_at": (START - timedelta(seconds=1)).isoformat()}
    payload = {"action": "created", "issue": {"number": 7, "pull_request": {}}, "comment": said}
    answer = door.post("issue_comment", payload)
    assert not door.sent
    assert "is newer; look at it" in answer.body["reason"]
    said["created_at"] = (START + timedelta(seconds=1)).isoformat()
    door.post("issue_comment", payload)
    (sent,) = door.sent
    assert isinstance(sent, m.Approve)
    assert sent.run == run


def test_a_label_approves_the_run_of_the_commit_that_it_was_put_on(door: Door) -> None:
    run = door.put(waiting())

    def labeled(sha: str, label: str = "turnout:approve") -> Answer:
        end = {"ref": "fix", "sha": sha, "repo": REPOSITORY}
        request = {"number": 7, "head": end, "base": end}
        return door.post(
            "pull_request", {"action": "labeled", "pull_request": request, "label": {"name": label}}
        )

    labeled("e" * 40)
    labeled(CHANGE.sha, "bug")
    assert not door.sent, "an approval is for one commit"
    labeled(CHANGE.sha)
    (sent,) = door.sent
    assert isinstance(sent, m.Approve)
    assert sent.run == run


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("looks good", "asks nothing"),
        ("/turnout", "nothing that can be asked"),
        ("/turnout deploy prod", "nothing that can be asked"),
        ("/turnout cancel it now", "nothing that can be asked"),
        ("/turnout approve", "nothing of run"),
        ("/turnout approve lint", "nothing of run"),
    ],
)
def test_what_asks_for_nothing_says_so(door: Door, text: str, reason: str) -> None:
    door.put(failed())
    assert reason in door.comment(text).body["reason"]
    assert not door.sent


def test_a_comment_on_an_issue_is_told_where_it_belongs(door: Door) -> None:
    assert "pull request" in door.comment("/turnout rerun", pull_request=None).body["reason"]


def test_a_check_of_another_app_or_another_repository_moves_nothing(door: Door) -> None:
    run = door.put(told(pipeline(), change=PULL.with_(repository="acme/other"), project="acme/other"))
    for external in ("", "their-own", f"{run}:check", f"{run}:else", "../x:check"):
        check = {"external_id": external, "head_sha": CHANGE.sha}
        assert (
            door.post("check_run", {"action": "rerequested", "check_run": check}).body["status"] == "ignored"
        )
    assert not door.sent


def test_the_same_delivery_asks_once(door: Door) -> None:
    run = door.put(failed())
    check = {"external_id": f"{run}:check", "head_sha": CHANGE.sha}
    answers = [door.post("check_run", {"action": "rerequested", "check_run": check}, "d") for _ in range(2)]
    assert [each.status for each in answers] == [202, 200]
    assert len(door.sent) == 1


def test_while_github_cannot_be_asked_the_delivery_is_to_come_again(door: Door) -> None:
    door.put(failed())
    door.hub.faults.append(Fault("collaborators", 503))
    assert door.comment("/turnout rerun").status == 503
    assert not door.sent


def test_without_a_way_to_ask_github_a_comment_is_ignored_with_the_reason(door: Door) -> None:
    door.put(failed())
    door.webhook = Webhook(
        door.store, door.producer, FakeClock(), (SECRET,), read_payload, Asking(door.store, None)
    )
    assert "TURNOUT_GITHUB_TOKEN" in door.comment("/turnout rerun").body["reason"]
