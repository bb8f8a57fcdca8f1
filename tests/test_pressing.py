"""A button is pressed: Slack has signed it, once, not long ago; and whoever pressed it may, or is told."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from local.github.hub import Fault
from local.github.stand_in import StandIn
from local.slack.buttons import Finger
from tests.desk_of_people import Hands, People
from tests.test_acting import Office
from turnout.adapters.slack_buttons import MAX_BODY, SlackButtons, read_press
from turnout.core.errors import PermanentError, TransientError
from turnout.core.run import Run, StageStatus
from turnout.pressing import Press, Pressing

ADA, BOB, EVE = "U0ADA00001", "U0BOB00001", "U0EVE00001"
SECRET = "slack's"


class Chat:
    def __init__(self) -> None:
        self.said: list[tuple[str, str, str]] = []

    def whisper(self, channel: str, account: str, text: str) -> None:
        self.said.append((channel, account, text))


class Desk:
    """A run that waits, and the buttons of its message."""

    def __init__(self, people: People, *by: str) -> None:
        self.office = Office(people, *by)
        self.chat, self.clock = Chat(), people.clock
        self.run: Run = self.office.waiting()
        store = self.office.desk.world.store
        pressing = Pressing(store, self.office.acting, self.chat, {BOB: "bob"})
        self.buttons = SlackButtons(SECRET, people.accounts.once, pressing.press, self.clock)

    def press(self, account: str, action: str = "turnout.approve", **more: Any) -> int:
        body = pressed(account, action, f"{self.run.id} ship", **more)
        return self.buttons.receive(sign(body, self.clock), body).status

    def after(self) -> Run:
        return self.office.after(self.run)


def pressed(account: str, action: str, value: str, **more: Any) -> bytes:
    button = {"action_id": action, "value": value, "text": {"type": "plain_text", "text": "x"}}
    finger = Finger("", SECRET)
    return finger.body("C0CHANNEL1", {"ts": "1.0"}, {"block_id": "b"}, button | more, account)


def sign(body: bytes, clock: Hands, secret: str = SECRET) -> dict[str, str]:
    import time

    return Finger("", secret, skew=clock.now().timestamp() - time.time()).signed(body)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with StandIn() as github:
        made = People(tmp_path, github)
        made.project(f"  people: {{{ADA}: '@ada'}}\n")
        yield made
        made.api.close()


def test_who_may_approves_and_it_is_written_down_from_where(people: People) -> None:
    desk = Desk(people, "@acme/release")
    assert desk.press(ADA) == 200
    assert [each.by for each in desk.after().stages["ship"].approvals] == ["ada"]
    (entry,) = people.accounts.audit_log()
    assert (entry.person, entry.via, entry.address) == ("ada", "slack", f"slack:{ADA}")
    assert desk.chat.said == []


def test_who_may_rejects(people: People) -> None:
    desk = Desk(people, "@bob")
    assert desk.press(BOB, "turnout.reject") == 200
    assert desk.after().finished


def test_who_may_not_is_told_and_nobody_else(people: People) -> None:
    desk = Desk(people, "@acme/release")
    assert desk.press(BOB) == 200
    assert desk.press(EVE) == 200
    assert [(channel, account) for channel, account, _ in desk.chat.said] == [
        ("C0CHANNEL1", BOB),
        ("C0CHANNEL1", EVE),
    ]
    assert "bob is none of them" in desk.chat.said[0][2]
    assert "whose Slack account" in desk.chat.said[1][2]
    assert "`people` in the project file of acme/shop" in desk.chat.said[1][2]
    assert desk.after().stages["ship"].status is StageStatus.WAITING
    assert [each.verdict for each in people.accounts.audit_log()] == ["refused", "refused"]


def test_a_button_of_an_old_message_says_so(people: People) -> None:
    desk = Desk(people, "@ada", "@bob")
    desk.press(ADA, "turnout.reject")
    desk.after()
    assert desk.press(BOB) == 200
    assert "does not wait" in desk.chat.said[0][2]
    body = pressed(ADA, "turnout.approve", "nowhere ship")
    assert desk.buttons.receive(sign(body, desk.clock), body).status == 200
    assert "no run" in desk.chat.said[1][2]


def test_a_request_that_comes_again_is_done_once(people: People) -> None:
    desk = Desk(people, "@ada")
    body = pressed(ADA, "turnout.approve", f"{desk.run.id} ship")
    headers = sign(body, desk.clock)
    assert desk.buttons.receive(headers, body).status == 200
    desk.clock.pass_(minutes=4)
    assert desk.buttons.receive(headers, body).status == 200
    assert desk.buttons.receive(sign(body, desk.clock), body).status == 200
    assert len(people.accounts.audit_log()) == 1


Change = Callable[[dict[str, str], bytes], tuple[dict[str, str], bytes]]
FORGED: dict[str, Change] = {
    "no signature": lambda headers, body: ({}, body),
    "another body": lambda headers, body: (headers, body.replace(b"approve", b"reject")),
    "another time": lambda headers, body: (headers | {"X-Slack-Request-Timestamp": "1"}, body),
    "no number": lambda headers, body: (headers | {"X-Slack-Request-Timestamp": "soon"}, body),
    "no hex": lambda headers, body: (headers | {"X-Slack-Signature": "v0=é"}, body),
    "no text": lambda headers, body: (headers, b"\xff\xfe"),
    "too much": lambda headers, body: (headers, body + b"x" * MAX_BODY),
}


@pytest.mark.parametrize("change", FORGED.values(), ids=FORGED)
def test_what_slack_has_not_signed_does_nothing(change: Change, people: People) -> None:
    desk = Desk(people, "@ada")
    body = pressed(ADA, "turnout.approve", f"{desk.run.id} ship")
    assert desk.buttons.receive(*change(sign(body, desk.clock), body)).status == 401
    assert desk.buttons.receive(sign(body, desk.clock, "a guess"), body).status == 401
    assert people.accounts.audit_log() == []
    assert desk.after().stages["ship"].status is StageStatus.WAITING


@pytest.mark.parametrize("minutes", [-6, 6])
def test_what_slack_has_signed_at_another_time_does_nothing(minutes: int, people: People) -> None:
    desk = Desk(people, "@ada")
    body = pressed(ADA, "turnout.approve", f"{desk.run.id} ship")
    headers = sign(body, desk.clock)
    desk.clock.pass_(minutes=minutes)
    assert desk.buttons.receive(headers, body).status == 401


def test_while_github_is_away_the_person_is_told_and_presses_again(people: People) -> None:
    desk = Desk(people, "@acme/release")
    people.hub.faults.append(Fault("memberships", 502))
    assert desk.press(ADA) == 200
    assert "502" in desk.chat.said[0][2] or "GitHub" in desk.chat.said[0][2]
    assert desk.press(ADA) == 200
    assert desk.after().stages["ship"].approvals


def test_while_the_store_is_away_slack_says_that_it_did_not_work(people: People) -> None:
    desk = Desk(people)

    def away(*_: object) -> bool:
        raise TransientError("the database is away")

    body = pressed(ADA, "turnout.approve", f"{desk.run.id} ship")
    buttons = SlackButtons(SECRET, away, lambda _: "", desk.clock)
    assert buttons.receive(sign(body, desk.clock), body).status == 503


@pytest.mark.parametrize(
    "payload",
    [
        {"type": "view_submission"},
        {"type": "block_actions", "actions": [{"action_id": "other.approve"}]},
        {"type": "block_actions", "actions": [{"action_id": "turnout.delete"}]},
    ],
)
def test_other_buttons_are_not_ours(payload: dict[str, Any]) -> None:
    assert read_press(urlencode({"payload": json.dumps(payload)}).encode()) is None


@pytest.mark.parametrize(
    "body", [b"", b"payload=", b"payload=1", b"payload=[]", b"payload=%7B%7D", b"payload=" + b"[" * 100_000]
)
def test_what_is_no_press_is_refused(body: bytes, people: People) -> None:
    with pytest.raises(PermanentError):
        read_press(body)
    desk = Desk(people)
    assert desk.buttons.receive(sign(body, desk.clock), body).status == 422


def test_a_press_is_read_whole() -> None:
    found = read_press(pressed(ADA, "turnout.reject", "r1 ship"))
    assert found is not None
    assert found == Press("reject", "r1", "ship", ADA, "C0CHANNEL1", found.id)
