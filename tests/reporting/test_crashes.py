"""Death at every point of the way, and many deliveries at once: still one message, each detail once."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local.slack.workspace import Workspace
from tests.core.building import Story
from tests.reporting.telling import TWO_FAILED, Desk, ends, passes, pipeline, told
from turnout.adapters.memory_store import MemoryStore
from turnout.adapters.slack import SlackChat, SlackRefused
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import open_store
from turnout.core.errors import TransientError
from turnout.core.ports import Store
from turnout.core.run import Run
from turnout.reporting.email_channel import EmailChannel
from turnout.reporting.ledger import LEASE
from turnout.reporting.slack_channel import SlackChannel


class Died(BaseException):
    """The process is gone: nothing after this line happens."""


@dataclass
class Fate:
    """Ends the process at the ``at``-th step that leaves a trace: before it, or just after. 0: never."""

    at: int = 0
    after: bool = False
    steps: int = 0

    def step(self, act: Callable[[], Any]) -> Any:
        self.steps += 1
        if self.steps == self.at and not self.after:
            raise Died
        found = act()
        if self.steps == self.at:
            raise Died
        return found


class NearbyChat(SlackChat):
    """The real client, with the workspace called directly instead of over HTTP."""

    def __init__(self, workspace: Workspace, fate: Fate) -> None:
        super().__init__("xoxb-test")
        self._workspace = workspace
        self._fate = fate

    def _call(
        self, method: str, *, json: Mapping[str, Any] | None = None, data: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        body = self._fate.step(lambda: self._workspace.call(method, json or data or {}, "xoxb-test").body)
        if not body["ok"]:
            raise SlackRefused(body["error"], body["error"], "")
        found: Mapping[str, Any] = body
        return found


class MortalStore(MemoryStore):
    fate = Fate()

    def reserve_report(self, report: Any) -> Any:
        return self.fate.step(lambda: super(MortalStore, self).reserve_report(report))

    def record_report(self, report: Any) -> None:
        self.fate.step(lambda: super(MortalStore, self).record_report(report))


@dataclass
class Post:
    """Where mail arrives."""

    fate: Fate
    mails: list[tuple[str, str]] = field(default_factory=list)

    def send(self, mail: Any, sender: str, recipient: str) -> None:
        self.fate.step(lambda: self.mails.append((recipient, str(mail["Message-ID"]))))


def red_then_green() -> list[tuple[Story, str]]:
    """The run after each of its facts."""
    found: list[tuple[Story, str]] = []
    story = told(pipeline(on=("success",), email=("ada@example.org", "bob@example.org")))
    for fact, then in (
        ("started", partial(passes, story, "lint")),
        ("stage:lint", partial(ends, story, "test", TWO_FAILED)),
        ("attempt:1", partial(passes, story, "test")),
        ("stage:test", partial(passes, story, "script")),
        ("finished", partial(Story)),
    ):
        found.append((Story(story.now, list(story.history)), fact))
        then()
    return found


def live(tale: Sequence[tuple[Story, str]], fate: Fate) -> tuple[Workspace, Post]:
    """The facts are told in order by a process that may die once; the next one goes on when its time has come."""
    workspace, post, store = Workspace(["ci"]), Post(fate), MortalStore()
    store.fate = fate
    desk = Desk((), store)
    for story, fact in tale:
        for _ in range(4):
            desk.channels = (
                SlackChannel(NearbyChat(workspace, fate)),
                EmailChannel(post, "turnout@example.org"),
            )
            try:
                desk.report(story, fact)
                break
            except (Died, TransientError):
                desk.clock.forward(LEASE.total_seconds())
        else:
            pytest.fail(f"{fact} was never told")
    return workspace, post


def check(workspace: Workspace) -> None:
    (card,) = workspace.messages("ci")
    assert card["blocks"][0]["text"]["text"] == ":white_check_mark: shop succeeded on main"
    (detail,) = workspace.replies("ci", card["ts"])
    assert detail["metadata"]["event_payload"]["fact"].startswith("attempt:")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_death_at_any_step_costs_no_message_and_makes_no_second_one(after: bool) -> None:
    tale, undisturbed = red_then_green(), Fate()
    live(tale, undisturbed)
    assert undisturbed.steps > 30
    for at in range(1, undisturbed.steps + 1):
        workspace, post = live(tale, Fate(at, after))
        check(workspace)
        mails = set(post.mails)
        assert {recipient for recipient, _ in mails} == {"ada@example.org", "bob@example.org"}
        assert len({message_id for _, message_id in mails}) == 1
        assert len(post.mails) - len(mails) <= 1  # a mail can't be looked for: the same one may go out twice


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    if request.param == "memory":
        yield MemoryStore()
        return
    url = f"sqlite:///{tmp_path / 'turnout.db'}"
    migrate(url)
    found = open_store(url, embedded=False)
    yield found
    found.close()


def test_many_deliveries_at_once_make_one_message_and_each_detail_once(store: Store) -> None:
    workspace = Workspace(["ci"])
    desk = Desk((SlackChannel(NearbyChat(workspace, Fate())),), store)
    tale = red_then_green()
    facts = [(story.run, fact) for story, fact in tale]
    last = desk.put(tale[-1][0])
    deliveries = facts * 4
    random.Random(7).shuffle(deliveries)

    def deliver(each: tuple[Run, str]) -> None:
        run, fact = each
        for _ in range(200):
            try:
                desk.again(run, fact, run.version)
                return
            except TransientError:
                continue
        pytest.fail(f"{fact} was never told")

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(deliver, deliveries))
    check(workspace)
    assert desk.status(last, "slack", "finished") == "sent"
