from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.core.building import START
from tests.test_orchestration import FakeClock, FakeProducer
from turnout.adapters.github_payload import read_payload
from turnout.adapters.memory_store import MemoryStore
from turnout.core import messages as m
from turnout.core.errors import PermanentError
from turnout.core.ids import delivery_message_id, run_id
from turnout.core.model import ChangeKind
from turnout.core.ports import Delivery
from turnout.webhook import MAX_BODY, Answer, Webhook, sign

SECRET, OLD = b"secret", b"the one before"
SHA, BEFORE = "b" * 40, "a" * 40


def push(**changes: Any) -> dict[str, Any]:
    head = {
        "id": SHA,
        "message": "Sell tea\n\nAll of it.",
        "author": {"name": "Ada"},
        "modified": ["src/tea.py"],
    }
    return {
        "ref": "refs/heads/main",
        "before": BEFORE,
        "after": SHA,
        "deleted": False,
        "forced": False,
        "compare": "https://example.org/compare",
        "head_commit": head,
        "commits": [head],
        "repository": {
            "full_name": "acme/shop",
            "clone_url": "https://example.org/acme/shop.git",
            "default_branch": "main",
        },
        "sender": {"login": "ada"},
        **changes,
    }


def pull_request(action: str = "opened", head: str = "acme/shop") -> dict[str, Any]:
    repository = {"full_name": "acme/shop", "clone_url": "https://example.org/acme/shop.git"}
    return {
        "action": action,
        "pull_request": {
            "number": 7,
            "title": "Sell cups",
            "html_url": "https://example.org/7",
            "user": {"login": "grace"},
            "head": {"ref": "cups", "sha": SHA, "repo": {**repository, "full_name": head}},
            "base": {"ref": "main", "sha": BEFORE, "repo": repository},
        },
        "repository": repository,
    }


@dataclass
class Door:
    store: MemoryStore = field(default_factory=MemoryStore)
    producer: FakeProducer = field(default_factory=FakeProducer)

    def post(
        self,
        payload: Any,
        event: str = "push",
        delivery: str = "d1",
        secret: bytes = SECRET,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        hook = Webhook(self.store, self.producer, FakeClock(START), (SECRET, OLD), read_payload)
        named = {
            "X-GitHub-Event": event,
            "X-GitHub-Delivery": delivery,
            "X-Hub-Signature-256": sign(secret, body),
        }
        return hook.receive({**named, **(headers or {})}, body)

    def request(self) -> m.RunRequested:
        (request,) = self.producer.messages(m.RunRequested)
        assert isinstance(request, m.RunRequested)
        return request


def test_a_signed_push_is_accepted_with_the_id_of_its_run() -> None:
    door = Door()
    answer = door.post(push())
    assert answer.status == 202
    assert answer.body["run"] == run_id(delivery_message_id("github", "d1"))
    change = door.request().change
    assert (change.kind, change.branch, change.sha, change.before) == (ChangeKind.PUSH, "main", SHA, BEFORE)
    assert (change.title, change.author, change.paths) == ("Sell tea", "ada", ("src/tea.py",))
    assert door.producer.records[0].key == "acme/shop"


def test_a_redelivery_is_answered_with_the_same_run_and_publishes_nothing() -> None:
    door = Door()
    first = door.post(push())
    again = door.post(push())
    assert (again.status, again.body["run"]) == (200, first.body["run"])
    assert len(door.producer.records) == 1


def test_an_unsigned_request_is_refused() -> None:
    door = Door()
    assert door.post(push(), headers={"X-Hub-Signature-256": ""}).status == 401
    assert door.store.deliveries() == []


@pytest.mark.parametrize("signature", ["sha256=" + "0" * 64, "sha1=abc", "é", "sha256=", "\x00"])
def test_a_wrong_signature_is_refused(signature: str) -> None:
    assert Door().post(push(), headers={"X-Hub-Signature-256": signature}).status == 401


def test_a_signature_by_the_secret_before_is_accepted_while_both_are_set() -> None:
    assert Door().post(push(), secret=OLD).status == 202


def test_a_body_that_was_changed_after_signing_is_refused() -> None:
    body = json.dumps(push()).encode()
    assert Door().post(body + b" ", headers={"X-Hub-Signature-256": sign(SECRET, body)}).status == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"ref": "refs/heads/main"}',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps(push(after=7)).encode(),
    ],
)
def test_a_malformed_body_is_refused_with_what_is_wrong(body: bytes) -> None:
    answer = Door().post(body)
    assert answer.status == 400
    assert answer.body["error"]


@pytest.mark.parametrize("header", ["X-GitHub-Event", "X-GitHub-Delivery"])
def test_a_request_without_githubs_headers_is_refused(header: str) -> None:
    assert Door().post(push(), headers={header: ""}).status == 400


def test_a_body_over_githubs_own_cap_is_refused() -> None:
    assert Door().post(b"x" * (MAX_BODY + 1)).status == 413


def test_while_the_broker_is_away_the_answer_is_503_and_the_record_waits_in_the_outbox() -> None:
    door = Door()
    door.producer.away = True
    assert door.post(push()).status == 503
    assert len(door.store.unpublished()) == 1


class Refusing(MemoryStore):
    """A database that takes no such row, as PostgreSQL takes no NUL."""

    def receive(self, delivery: Delivery) -> Delivery:
        raise PermanentError(f"refused for good: {delivery.event}")


def test_a_delivery_that_the_store_refuses_for_good_is_refused_and_no_defect() -> None:
    assert Door(store=Refusing()).post(push()).status == 422


@pytest.mark.parametrize("event", ["x" * 101, "push\x00", "pu\x1bsh"])
def test_an_odd_name_of_an_event_is_refused(event: str) -> None:
    assert Door().post(push(), event=event).status == 400


def test_without_a_secret_nothing_is_accepted() -> None:
    hook = Webhook(MemoryStore(), FakeProducer(), FakeClock(START), (), read_payload)
    assert hook.receive({"X-Hub-Signature-256": "sha256=0"}, b"{}").status == 503


def test_headers_are_read_without_regard_to_case() -> None:
    body = json.dumps(push()).encode()
    hook = Webhook(MemoryStore(), FakeProducer(), FakeClock(START), (SECRET,), read_payload)
    headers = {"x-github-event": "push", "x-github-delivery": "d", "x-hub-signature-256": sign(SECRET, body)}
    assert hook.receive(headers, body).status == 202


def test_ping_is_noted_and_starts_nothing() -> None:
    door = Door()
    answer = door.post({"zen": "Keep it logically awesome."}, event="ping")
    assert (answer.status, answer.body["reason"]) == (202, "pong")
    assert door.store.deliveries()[0].status == "ignored"
    assert door.post({"zen": "…"}, event="ping").status == 200


@pytest.mark.parametrize("event", ["issues", "star", "workflow_run"])
def test_another_event_is_noted_with_the_reason(event: str) -> None:
    answer = Door().post({"repository": push()["repository"]}, event=event)
    assert answer.body["reason"] == f"a {event!r} event starts no run"


def test_a_deleted_branch_starts_nothing() -> None:
    gone = push(deleted=True, after="0" * 40, head_commit=None)
    assert Door().post(gone).body["reason"] == "refs/heads/main was deleted"


def test_a_tag_is_a_change_of_its_own_kind_at_its_commit() -> None:
    door = Door()
    door.post(push(ref="refs/tags/v1.2", before="0" * 40, after="c" * 40))
    change = door.request().change
    assert (change.kind, change.tag, change.branch, change.sha) == (ChangeKind.TAG, "v1.2", "", SHA)


def test_the_files_of_a_forced_push_a_new_branch_or_a_very_long_one_are_not_known() -> None:
    for change in (push(forced=True), push(before="0" * 40), push(commits=[push()["head_commit"]] * 20)):
        door = Door()
        door.post(change)
        assert door.request().change.paths is None


def test_a_pull_request_is_built_at_its_head() -> None:
    door = Door()
    door.post(pull_request(), event="pull_request")
    change = door.request().change
    assert (change.kind, change.number, change.sha, change.base_branch) == (
        ChangeKind.PULL_REQUEST,
        7,
        SHA,
        "main",
    )
    assert (change.fork, change.config_sha, change.ref) == (False, "", "refs/pull/7/head")


def test_a_pull_request_from_a_fork_is_known_as_one_and_takes_the_bases_config() -> None:
    door = Door()
    door.post(pull_request(head="mallory/shop"), event="pull_request")
    change = door.request().change
    assert (change.fork, change.config_sha) == (True, BEFORE)


def test_a_pull_request_whose_fork_is_gone_counts_as_a_fork() -> None:
    payload = pull_request()
    payload["pull_request"]["head"]["repo"] = None
    door = Door()
    door.post(payload, event="pull_request")
    assert door.request().change.fork


@pytest.mark.parametrize("action", ["labeled", "edited"])
def test_other_actions_on_a_pull_request_start_nothing(action: str) -> None:
    answer = Door().post(pull_request(action), event="pull_request")
    assert answer.body["reason"] == f"pull request #7 was {action}"
