from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise

import pytest

from tests.contracts.store_runs import a_delivery
from tests.core.building import START, a_plan, stage
from tests.test_orchestration import KEY, FakeClock, FakeProducer
from tests.test_webhook import push
from turnout.adapters.github_payload import read_payload
from turnout.adapters.memory_books import MemoryBooks, MemoryMissed
from turnout.adapters.memory_store import MemoryStore
from turnout.auditing import NOT_ASKED, WINDOW, Auditing
from turnout.core import messages as m
from turnout.core.account import MOST, MOST_TRIES, SETTLE, Account
from turnout.core.envelope import open_record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Outcome
from turnout.core.ports import Clock
from turnout.core.ports.ledger import Head, Listed
from turnout.core.result import Result
from turnout.orchestration import Orchestrator, Planned
from turnout.redelivering import AT_ONCE, FIRST_LOOK, LONGEST, NO_HOOK, OVERLAP, PAGES, Redelivering
from turnout.webhook import Webhook, sign

EVERY = timedelta(minutes=1)
SECRET = b"secret"
PER_PAGE = 10


@dataclass
class FakeHooks:
    """GitHub's list of one hook. ``away``, ``refused``: what asking for the list, for a delivery, raises."""

    clock: Clock
    tries: list[Listed] = field(default_factory=list)
    asked: list[int] = field(default_factory=list)
    pages: int = 0
    names: tuple[str, ...] = ("app",)
    newest: list[Head] = field(default_factory=list)
    why: dict[str, str] = field(default_factory=dict)
    away: Exception | None = None
    refused: Exception | None = None

    def send(self, guid: str, code: int, event: str = "push") -> None:
        ok = 200 <= code < 300
        made = Listed(
            guid, "app", len(self.tries) + 1, self.clock.now(), event, ok, code, "OK" if ok else "no"
        )
        self.tries.append(made)

    def hooks(self) -> tuple[Sequence[str], Mapping[str, str]]:
        if self.away:
            raise self.away
        return self.names, self.why

    def page(self, hook: str, cursor: str = "") -> tuple[Sequence[Listed], str]:
        assert hook == "app"
        if self.away:
            raise self.away
        self.pages += 1
        newest = list(reversed(self.tries))
        at = next((n for n, each in enumerate(newest) if str(each.number) == cursor), 0)
        rest = newest[at + PER_PAGE :]
        return newest[at : at + PER_PAGE], str(rest[0].number) if rest else ""

    def heads(self) -> tuple[Sequence[Head], Mapping[str, str]]:
        return self.newest, {}

    def again(self, hook: str, number: int) -> None:
        if self.refused:
            raise self.refused
        self.asked.append(number)


@dataclass
class Rig:
    clock: FakeClock = field(default_factory=FakeClock)
    store: MemoryStore = field(default_factory=MemoryStore)

    def __post_init__(self) -> None:
        self.hooks = FakeHooks(self.clock)
        self.missed = MemoryMissed(self.store)
        self.redelivering = Redelivering(self.hooks, self.missed, self.clock, EVERY)

    def here(self, guid: str) -> None:
        self.store.update_delivery(replace(a_delivery(guid, "ignored"), reason="a tag"))

    def names(self) -> list[str]:
        return [each.listed.guid for each in self.missed.missed(MOST)]


def test_what_github_could_not_deliver_is_asked_for_again_until_it_has_come() -> None:
    rig = Rig()
    rig.hooks.send("here", 202)
    rig.here("here")
    rig.hooks.send("lost", 502)
    assert rig.redelivering.look() == 1
    assert rig.hooks.asked == [2]
    assert rig.names() == ["lost"]
    rig.here("lost")
    rig.clock.forward(60)
    assert rig.redelivering.look() == 0
    assert rig.names() == []


def test_what_github_takes_for_delivered_and_is_not_here_is_missed_too() -> None:
    rig = Rig()
    rig.hooks.send("elsewhere", 200)
    assert rig.redelivering.look() == 1


def test_a_delivery_that_was_only_received_has_not_come() -> None:
    rig = Rig()
    rig.store.receive(a_delivery("half"))
    rig.hooks.send("half", 503)
    assert rig.redelivering.look() == 1


def test_two_sweepers_ask_once_and_each_pause_is_longer_than_the_one_before() -> None:
    rig = Rig()
    other = Redelivering(rig.hooks, rig.missed, rig.clock, EVERY)
    rig.hooks.send("lost", 502)
    minutes: list[int] = []
    for minute in range(60 * 24):
        before = len(rig.hooks.asked)
        rig.redelivering.look()
        other.look()
        if len(rig.hooks.asked) > before:
            minutes.append(minute)
        assert len(rig.hooks.asked) - before <= 1
        rig.clock.forward(60)
    assert minutes[:5] == [0, 1, 3, 7, 15]
    assert len(minutes) == MOST_TRIES
    longest = max(later - earlier for earlier, later in pairwise(minutes))
    assert timedelta(minutes=longest) == LONGEST


def test_the_list_is_read_down_to_where_the_last_look_ended() -> None:
    rig = Rig()
    for number in range(35):
        rig.hooks.send(f"d{number}", 202)
        rig.here(f"d{number}")
        rig.clock.forward(60)
    rig.redelivering.look()
    assert rig.hooks.pages == 4
    for _ in range(3):
        rig.clock.forward(OVERLAP.total_seconds())
        rig.redelivering.look()
    assert rig.hooks.pages == 4 + 3
    (mark,) = [each for each in rig.missed.marks() if each.hook == "app"]
    assert mark.upto == rig.hooks.tries[-1].at


def test_a_list_that_is_too_long_for_one_look_is_read_on_in_the_next() -> None:
    rig = Rig()
    for number in range(PER_PAGE * (PAGES + 2)):
        rig.hooks.send(f"d{number:03}", 202 if number else 502)
        if number:
            rig.here(f"d{number:03}")
    assert rig.redelivering.look() == 0
    rig.clock.forward(60)
    assert rig.redelivering.look() == 1
    assert rig.names() == ["d000"]


def test_the_first_look_goes_back_an_hour_and_no_further() -> None:
    rig = Rig()
    rig.hooks.send("before we came", 502)
    rig.clock.forward((FIRST_LOOK + OVERLAP).total_seconds() + 1)
    rig.hooks.send("ours", 502)
    assert rig.redelivering.look() == 1
    assert rig.names() == ["ours"]


def test_no_more_are_asked_for_at_once_than_github_bears() -> None:
    rig = Rig()
    for number in range(AT_ONCE + 5):
        rig.hooks.send(f"d{number}", 502)
    assert rig.redelivering.look() == AT_ONCE
    rig.clock.forward(1)
    assert rig.redelivering.look() == 5


@pytest.mark.parametrize("away", [TransientError("no answer"), PermanentError("HTTP 401")])
def test_that_github_is_away_is_noted_and_no_failure(away: Exception) -> None:
    rig = Rig()
    rig.hooks.send("lost", 502)
    rig.hooks.away = away
    assert rig.redelivering.look() == 0
    (said,) = [each.said for each in rig.missed.marks()]
    assert str(away) in said
    rig.hooks.away = None
    rig.clock.forward(60)
    assert rig.redelivering.look() == 1
    assert [each.said for each in rig.missed.marks()] == ["", ""]


def test_a_limit_is_waited_for_as_long_as_github_says_and_costs_no_try() -> None:
    rig = Rig()
    for name in ("one", "two", "three"):
        rig.hooks.send(name, 502)
    rig.hooks.refused = TransientError("the rate limit is used up", retry_after=600)
    assert rig.redelivering.look() == 0
    rig.hooks.refused = None
    assert [each.tries for each in rig.missed.missed(MOST)] == [0, 0, 0]
    rig.clock.forward(599)
    assert rig.redelivering.look() == 0
    rig.clock.forward(1)
    assert rig.redelivering.look() == 3


def test_what_github_does_not_send_again_is_not_asked_for_twice() -> None:
    rig = Rig()
    rig.hooks.send("old", 502)
    rig.hooks.refused = PermanentError("HTTP 422: too old")
    rig.redelivering.look()
    rig.hooks.refused = None
    rig.clock.forward(3600)
    assert rig.redelivering.look() == 0
    assert "too old" in rig.missed.missed(MOST)[0].refused


# --- the whole way, in one process -------------------------------------------------------------------


@dataclass
class Careless:
    """GitHub that drops every tenth delivery and sends every tenth twice, and a system behind its webhook."""

    hooks: FakeHooks
    chance: random.Random
    clock: FakeClock
    store: MemoryStore = field(default_factory=MemoryStore)
    producer: FakeProducer = field(default_factory=FakeProducer)
    bodies: dict[str, bytes] = field(default_factory=dict)
    heard: int = 0

    def __post_init__(self) -> None:
        self.webhook = Webhook(self.store, self.producer, self.clock, (SECRET,), read_payload)
        self.orchestrator = Orchestrator(self.store, self.producer, self._plan, self.clock, KEY)

    def _plan(self, request: m.RunRequested) -> Planned:
        return Planned("acme/shop", a_plan(stage("test")), request.change)

    def settle(self) -> None:
        """Whatever was published is answered; each task ends well."""
        while self.heard < len(self.producer.records):
            envelope = open_record(self.producer.records[self.heard])
            self.heard += 1
            message = m.parse(envelope)
            if isinstance(message, m.RunRequested):
                self.orchestrator.handle(envelope)
            elif isinstance(message, m.TaskRequested):
                self.orchestrator.handle(
                    m.wrap(self._done(message), id=message.attempt, source="/t", at=START)
                )

    def _done(self, task: m.TaskRequested) -> m.TaskFinished:
        return m.TaskFinished(
            run=task.run,
            task=task.task,
            attempt=task.attempt,
            token=task.token,
            at=self.clock.now(),
            result=Result(outcome=Outcome.SUCCESS),
        )

    def push(self, number: int) -> None:
        sha = f"{number + 1:040x}"
        payload = push(after=sha, ref=f"refs/heads/b{number}", head_commit={"id": sha, "message": "Sell tea"})
        self.bodies[sha] = json.dumps(payload).encode()
        at = self.chance.random()
        for _ in range(2 if at > 0.9 else 1):
            self._try(sha, dropped=at < 0.1)

    def again(self) -> None:
        numbers, self.hooks.asked = self.hooks.asked, []
        for number in numbers:
            self._try(self.hooks.tries[number - 1].guid, dropped=self.chance.random() < 0.2)

    def _try(self, guid: str, *, dropped: bool) -> None:
        body = self.bodies[guid]
        headers = {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": guid,
            "X-Hub-Signature-256": sign(SECRET, body),
        }
        code = 502 if dropped else self.webhook.receive(headers, body).status
        self.hooks.send(guid, code)


def test_of_50_pushes_with_dropped_and_doubled_deliveries_each_has_one_run_in_the_end() -> None:
    clock = FakeClock()
    hooks = FakeHooks(clock)
    github = Careless(hooks, random.Random(7), clock)
    missed = MemoryMissed(github.store)
    redelivering = Redelivering(hooks, missed, clock, EVERY)
    auditing = Auditing(MemoryBooks(github.store), missed, clock, hooks, channels=())

    def audited() -> Account:
        github.settle()
        return auditing.account(ask=True)

    for number in range(50):
        github.push(number)
    dropped = 50 - len(github.store.deliveries(limit=100))
    assert dropped > 2
    clock.forward(SETTLE.total_seconds() + 1)
    before = audited()
    assert [row.kind for row in before.rows] == ["github"] * dropped
    for _ in range(10):
        redelivering.look()
        github.again()
        clock.forward(300)
    after = audited()
    assert (after.unaccounted, after.rows) == (0, ())
    assert next(line for line in after.lines if line.kind == "github").parts == {"here": 50}
    rows = github.store.runs(limit=100)
    assert Counter(row.sha for row in rows) == Counter(list(github.bodies))
    assert {row.outcome for row in rows} == {"success"}
    assert len(hooks.tries) > 50 + dropped


def test_an_audit_that_can_t_ask_github_says_so_and_counts_what_the_sweeper_saw() -> None:
    rig = Rig()
    books = MemoryBooks(rig.store)
    assert Auditing(books, rig.missed, rig.clock).account(ask=True).notes == (NOT_ASKED,)
    rig.hooks.send("lost", 502)
    rig.redelivering.look()
    rig.clock.forward(SETTLE.total_seconds() + 1)
    rig.hooks.away = TransientError("no answer")
    rig.redelivering.look()
    account = Auditing(books, rig.missed, rig.clock, rig.hooks).account(ask=True)
    assert account.unaccounted == 1
    assert any("no answer" in note for note in account.notes)
    assert Auditing(books, rig.missed, rig.clock, rig.hooks).keep() == books.last()


def test_an_audit_looks_at_newest_commits_that_github_would_still_list_and_that_had_time_to_come() -> None:
    rig = Rig()
    rig.store.receive(
        replace(a_delivery("d1", "received"), sha="a" * 40, received_at=rig.clock.now() - 5 * WINDOW)
    )
    times = {"b": timedelta(hours=1), "c": timedelta(minutes=1), "d": 2 * WINDOW}
    rig.hooks.newest = [Head("acme/shop", sha * 40, rig.clock.now() - ago) for sha, ago in times.items()]
    account = Auditing(MemoryBooks(rig.store), rig.missed, rig.clock, rig.hooks).account(ask=True)
    assert [row.id for row in account.rows] == ["b" * 40]


def test_where_there_is_no_list_to_compare_the_audit_says_so() -> None:
    rig = Rig()
    rig.hooks.names = ()
    auditing = Auditing(MemoryBooks(rig.store), rig.missed, rig.clock, rig.hooks)
    assert auditing.account(ask=True).notes == (NO_HOOK,)
    rig.redelivering.look()
    assert auditing.account().notes == (f"GitHub: {NO_HOOK}",)


def test_a_repository_whose_hook_is_not_known_is_a_note() -> None:
    rig = Rig()
    rig.hooks.why = {"acme/shop": "there are none"}
    account = Auditing(MemoryBooks(rig.store), rig.missed, rig.clock, rig.hooks).account(ask=True)
    assert account.notes == ("acme/shop: there are none",)
    rig.redelivering.look()
    account = Auditing(MemoryBooks(rig.store), rig.missed, rig.clock, rig.hooks).account()
    assert account.notes == ("GitHub: acme/shop: there are none",)
