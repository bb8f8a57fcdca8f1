"""Reading GitHub's lists of deliveries, and asking for one again: an App's, and a repository's webhook's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from typing import Any

import pytest

from local.github.contract import Contract
from local.github.hub import Fault, Hub
from local.github.stand_in import StandIn
from local.github.webhooks import Fate, Webhook
from local.loopback import Loopback
from tests.adapters.test_github_api import REPOSITORY, Hands
from tests.github_app import app_key
from tests.reporting.test_github_contract import described
from tests.waiting import wait_until
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import AppAuth, Auth, TokenAuth
from turnout.adapters.github_deliveries import GitHubDeliveries
from turnout.core.errors import NotFound, PermanentError, TransientError
from turnout.webhook import sign

SECRET = "between us"


class Receiver(Loopback):
    """Answers 202, and keeps what came."""

    def __init__(self) -> None:
        self.came: list[tuple[dict[str, str], bytes]] = []
        receiver, lock = self, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                with lock:
                    receiver.came.append((dict(self.headers), body))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None: ...

        super().__init__(Handler)


class Rig:
    def __init__(self, stack: ExitStack, *, app: bool) -> None:
        self.receiver = stack.enter_context(Receiver())
        self.hub = Hub()
        self.webhook = Webhook(self.receiver.url, SECRET, number=3, fate=self._fate)
        stack.callback(self.webhook.close)
        if app:
            self.hub.webhook = self.webhook
        else:
            self.hub.webhooks[3] = self.webhook
        github = stack.enter_context(StandIn(self.hub))
        clock = Hands()
        auth: Auth = AppAuth("7", app_key(), clock) if app else TokenAuth("ghp_plain")
        self.api = GitHubApi(auth, clock, base_url=github.url)
        stack.callback(self.api.close)
        self.deliveries = GitHubDeliveries(self.api, lambda: [REPOSITORY])
        self.next = Fate()

    def _fate(self, _guid: str, again: bool) -> Fate:
        return Fate() if again else self.next

    def send(self, fate: Fate | None = None) -> str:
        self.next = fate or Fate()
        guid = self.webhook.send("push", {"ref": "refs/heads/main"})
        self.settle()
        return guid

    def settle(self) -> None:
        wait_until(lambda: self.webhook.quiet, 10, "GitHub is quiet", poll=0.01)


@pytest.fixture(params=[True, False], ids=["app", "token"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    with ExitStack() as stack:
        yield Rig(stack, app=request.param)


def test_what_github_could_not_deliver_is_in_its_list_and_comes_when_asked_for(rig: Rig) -> None:
    here, lost = rig.send(), rig.send(Fate(code=502))
    (hook,), why = rig.deliveries.hooks()
    assert not why
    (second, first), following = rig.deliveries.page(hook)
    assert (first.guid, first.ok, first.code, first.event) == (here, True, 202, "push")
    assert (second.guid, second.ok, second.code, second.said) == (
        lost,
        False,
        502,
        "failed to connect to host",
    )
    assert (following, second.at > first.at) == ("", True)
    rig.deliveries.again(hook, second.number)
    rig.settle()
    headers, body = rig.receiver.came[-1]
    assert headers["X-GitHub-Delivery"] == lost
    assert headers["X-Hub-Signature-256"] == sign(SECRET.encode(), body)
    assert [each.ok for each in rig.deliveries.page(hook)[0] if each.guid == lost] == [True, False]


def test_a_list_goes_on_at_its_cursor_whatever_has_come_in_between(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnout.adapters.github_api.PER_PAGE", 3)
    old = {rig.webhook.send("push", {}) for _ in range(5)}
    rig.settle()
    (hook,), _ = rig.deliveries.hooks()
    first, cursor = rig.deliveries.page(hook)
    rig.send()
    second, following = rig.deliveries.page(hook, cursor)
    assert (len(first), len(second), following) == (3, 2, "")
    assert {each.guid for each in [*first, *second]} == old


def test_a_list_that_is_never_the_same_takes_no_place_among_the_answers_kept(rig: Rig) -> None:
    (hook,), _ = rig.deliveries.hooks()
    kept = len(rig.api._known)
    for _ in range(3):
        rig.send()
        rig.deliveries.page(hook)
    assert len(rig.api._known) <= kept + (hook != "app")


def test_what_is_doubled_is_listed_twice_under_one_id(rig: Rig) -> None:
    guid = rig.send(Fate(twice=True))
    assert [headers["X-GitHub-Delivery"] for headers, _ in rig.receiver.came] == [guid, guid]
    (hook,), _ = rig.deliveries.hooks()
    assert len({each.number for each in rig.deliveries.page(hook)[0] if each.guid == guid}) == 2


def test_a_limit_is_said_with_how_long_to_wait(rig: Rig) -> None:
    (hook,), _ = rig.deliveries.hooks()
    rig.hub.faults.append(Fault("deliveries", 403, headers={"Retry-After": "30"}))
    with pytest.raises(TransientError) as caught:
        rig.deliveries.page(hook)
    assert caught.value.retry_after == 30.0
    with pytest.raises(NotFound):
        rig.deliveries.again(hook, 1)


def test_of_several_webhooks_ours_is_the_one_with_our_address() -> None:
    with ExitStack() as stack:
        rig = Rig(stack, app=False)
        other = Webhook("https://example.org/other", SECRET, number=4)
        stack.callback(other.close)
        rig.hub.webhooks[4] = other
        names, why = rig.deliveries.hooks()
        assert not names
        assert "4 to https://example.org/other" in why[REPOSITORY]
        assert "TURNOUT_GITHUB_HOOK_URL" in why[REPOSITORY]
        ours = GitHubDeliveries(rig.api, lambda: [REPOSITORY], rig.receiver.url.upper() + "/")
        assert ours.hooks() == ([f"{REPOSITORY}#3"], {})


def test_only_an_app_has_a_list_of_its_own() -> None:
    with ExitStack() as stack:
        rig = Rig(stack, app=False)
        with pytest.raises(PermanentError, match="only an App"):
            rig.deliveries.page("app")


@pytest.mark.real
def test_every_request_is_one_that_github_takes(rig: Rig) -> None:
    contract: Contract = described()
    rig.send(Fate(code=502))
    (hook,), _ = rig.deliveries.hooks()
    rows, _ = rig.deliveries.page(hook)
    rig.deliveries.page(hook, str(rows[0].number))
    rig.deliveries.again(hook, rows[0].number)
    rig.deliveries.heads()
    rig.settle()
    calls = [
        call for call in rig.hub.calls if "deliver" in call.path or call.path.endswith(("/hooks", "/commits"))
    ]
    assert len(calls) >= 4
    assert [problem for call in calls for problem in contract.problems(call)] == []
