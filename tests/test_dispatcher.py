"""The dispatcher between the bus in memory and a real HTTP function."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest

from tests.listening import Function, Request, Say
from tests.waiting import wait_until
from turnout.adapters.memory_bus import Fault, MemoryBus
from turnout.core.dead_letters import DeadLetter
from turnout.core.envelope import Received, Record
from turnout.core.errors import PermanentError, TransientError
from turnout.core.posting import Answered, Patience, Reply, Route
from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS, DEAD_LETTERS
from turnout.dispatcher import Dispatcher, DispatcherSettings, Progress
from turnout.redriving import dead_letters, redrive

FAST = DispatcherSettings(
    concurrency=8,
    patience=Patience(tries=3, first=0.01, longest=0.05),
    drain=5.0,
    outage=Patience(first=0.01, longest=0.05),
)
GROUP = "functions"


class FixedClock:
    def now(self) -> datetime:
        return datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


def publish(bus: MemoryBus, keys: Sequence[str], each: int = 1, topic: str = AGENT_RESULTS) -> None:
    bus.producer().publish([Record(topic, key, f"{key}:{n}".encode()) for n in range(each) for key in keys])


def lag(bus: MemoryBus, topic: str = AGENT_RESULTS) -> int:
    return sum(bus.lag(GROUP, [topic]).values())


@contextmanager
def dispatching(
    bus: MemoryBus, url: str, settings: DispatcherSettings = FAST, routes: Sequence[Route] = ()
) -> Iterator[Dispatcher]:
    """A dispatcher that runs in a thread of its own, stopped at the end."""
    dispatcher = Dispatcher(
        bus, GROUP, routes or [Route(AGENT_RESULTS, url, 2.0)], clock=FixedClock(), settings=settings
    )
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    try:
        yield dispatcher
    finally:
        dispatcher.stop()
        thread.join(20)
        assert not thread.is_alive()


def failing(times: int, status: int, only: str = "") -> Callable[[Request], Say]:
    """Answer ``status`` the first ``times`` times that a body (of key ``only``) comes, 204 after that."""
    seen: dict[bytes, int] = {}
    lock = threading.Lock()

    def answer(request: Request) -> Say:
        with lock:
            seen[request.body] = seen.get(request.body, 0) + 1
            failed = seen[request.body] <= times and (not only or request.key == only)
        return Say(status, b"not now") if failed else Say()

    return answer


def test_every_record_is_posted_once_and_committed(bus: MemoryBus) -> None:
    keys = [f"run-{n}" for n in range(20)]
    with Function() as function, dispatching(bus, function.url) as dispatcher:
        publish(bus, keys, each=5)
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert sorted(function.bodies()) == sorted(f"{key}:{n}".encode() for key in keys for n in range(5))
        assert dispatcher.progress() == Progress(delivered=100)


def test_records_of_a_key_go_one_by_one_in_order_and_keys_side_by_side(bus: MemoryBus) -> None:
    out: list[str] = []
    most, twice = [0], []
    changed = threading.Condition()

    def answer(request: Request) -> Say:
        with changed:
            if request.key in out:
                twice.append(request.key)
            out.append(request.key)
            most[0] = max(most[0], len(out))
            changed.notify_all()
            changed.wait_for(lambda: most[0] > 1, 5)
            out.remove(request.key)
        return Say()

    keys = [f"run-{n}" for n in range(6)]
    publish(bus, keys, each=8)
    with Function(answer) as function, dispatching(bus, function.url):
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        for key, bodies in function.by_key().items():
            assert bodies == [f"{key}:{n}".encode() for n in range(8)]
    assert most[0] > 1
    assert twice == []


def test_a_record_waits_for_no_poll_and_is_committed_soon(bus: MemoryBus) -> None:
    with Function() as function, dispatching(bus, function.url):
        publish(bus, ["warm"])
        wait_until(lambda: lag(bus) == 0, 5, "the first one")
        began = time.monotonic()
        publish(bus, ["run-1"])
        wait_until(lambda: len(function.requests) == 2, 2, "the POST", poll=0.001)
        assert function.requests[1].began - began < 0.25
        wait_until(lambda: lag(bus) == 0, 1, "the commit")


@pytest.mark.parametrize("status", [500, 502, 408, 503, 429])
def test_a_failed_record_is_tried_again_in_its_place(bus: MemoryBus, status: int) -> None:
    publish(bus, ["run-1", "run-2"], each=3)
    with Function(failing(2, status)) as function, dispatching(bus, function.url):
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert function.by_key()["run-1"] == [b"run-1:0"] * 3 + [b"run-1:1"] * 3 + [b"run-1:2"] * 3
    assert bus.records(DEAD_LETTERS) == ()


def test_a_key_that_fails_holds_back_no_other(bus: MemoryBus) -> None:
    patient = DispatcherSettings(concurrency=2, patience=Patience(tries=1000, first=0.01, longest=0.01))
    publish(bus, ["stuck", *(f"run-{n}" for n in range(30))], each=2)
    with Function(failing(10_000, 500, only="stuck")) as function, dispatching(bus, function.url, patient):
        wait_until(lambda: len(function.by_key()) == 31, 10, "every key")
        wait_until(
            lambda: all(len(v) == 2 for k, v in function.by_key().items() if k != "stuck"), 10, "the others"
        )
        assert set(function.by_key()["stuck"]) == {b"stuck:0"}
        assert lag(bus) >= 2


def test_a_refused_record_goes_to_the_dead_letters_and_the_next_one_on(bus: MemoryBus) -> None:
    publish(bus, ["run-1"], each=2)
    with Function(failing(1, 422)) as function, dispatching(bus, function.url) as dispatcher:
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert function.bodies() == [b"run-1:0", b"run-1:1"]
        assert dispatcher.progress().dead == 2
    first, second = dead_letters(bus)
    assert (first.record.value, second.record.value) == (b"run-1:0", b"run-1:1")
    assert (first.reason, first.status, first.tries) == ("answered 422: not now", 422, 1)
    assert (first.group, first.record.topic, first.record.key) == (GROUP, AGENT_RESULTS, "run-1")
    assert (first.offset, second.offset) == (0, 1)
    assert first.at == FixedClock().now()


def test_after_so_many_tries_a_record_is_given_up_with_its_last_reason(bus: MemoryBus) -> None:
    publish(bus, ["run-1"])
    with Function(lambda _: Say(500, b"KeyError: 'run'")) as function, dispatching(bus, function.url):
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert len(function.requests) == 3
    (letter,) = dead_letters(bus)
    assert letter.reason == "answered 500: KeyError: 'run'; given up after 3 tries"
    assert letter.tries == 3


def test_a_function_that_is_away_for_long_costs_no_record(bus: MemoryBus) -> None:
    with Function() as gone:
        port, url = gone.port, gone.url
    publish(bus, ["run-1", "run-2"])
    with dispatching(bus, url) as dispatcher:
        wait_until(lambda: dispatcher.progress().failed > 12, 10, "many more tries than count")
        with Function(port=port) as function:
            wait_until(lambda: lag(bus) == 0, 10, "all committed")
            assert sorted(function.bodies()) == [b"run-1:0", b"run-2:0"]
    assert bus.records(DEAD_LETTERS) == ()


def test_a_dead_letter_is_durable_before_its_record_is_committed(bus: MemoryBus) -> None:
    publish(bus, ["run-1"])
    away = threading.Event()
    bus.on_publish = lambda wanted: (
        Fault.LOST if not away.is_set() and wanted[0].topic == DEAD_LETTERS else None
    )
    with Function(lambda _: Say(400)) as function, dispatching(bus, function.url):
        wait_until(lambda: len(function.requests) == 1, 5, "the POST")
        with pytest.raises(AssertionError):
            wait_until(lambda: lag(bus) == 0, 0.3, "nothing may be committed")
        away.set()
        wait_until(lambda: lag(bus) == 0, 5, "the commit")
        assert len(function.requests) == 1
    assert len(dead_letters(bus)) == 1


def test_a_record_too_large_to_be_buried_whole_is_buried_without_its_value(bus: MemoryBus) -> None:
    record = Record(AGENT_RESULTS, "run-1", bytes(1_039_000), (("x", b"y"),))
    bus.producer().publish([record])
    with Function(lambda _: Say(400, b"n" * 400)) as function:
        small = MemoryBusWithLittleRoom(bus)
        dispatcher = Dispatcher(
            small, GROUP, [Route(AGENT_RESULTS, function.url, 5)], clock=FixedClock(), settings=FAST
        )
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        wait_until(lambda: lag(bus) == 0, 10, "the commit")
        dispatcher.stop()
        thread.join()
    (letter,) = dead_letters(bus)
    assert not letter.whole
    assert redrive(bus, [letter]) == 0


class MemoryBusWithLittleRoom:
    """A bus whose producer takes no more than a megabyte, as where a topic was configured so."""

    def __init__(self, bus: MemoryBus) -> None:
        self._bus = bus
        self.consumer = bus.consumer
        self.tail = bus.tail
        self.lag = bus.lag
        self.ensure_topics = bus.ensure_topics

    def producer(self) -> MemoryBusWithLittleRoom:
        return self

    def publish(self, records: Sequence[Record], timeout: float = 30.0) -> None:
        if any(len(each.value) > 1_000_000 for each in records):
            raise PermanentError("too large")
        self._bus.producer().publish(records)

    def close(self) -> None:
        """Nothing is held open."""


def test_a_dead_letter_that_is_refused_for_good_ends_the_dispatcher_and_commits_nothing(
    bus: MemoryBus,
) -> None:
    publish(bus, ["run-1"])

    def refuse(wanted: Sequence[Record]) -> Fault | None:
        raise PermanentError("not allowed to write here")

    bus.on_publish = refuse
    with Function(lambda _: Say(400)) as function:
        dispatcher = Dispatcher(bus, GROUP, [Route(AGENT_RESULTS, function.url)], settings=FAST)
        with pytest.raises(PermanentError, match="not allowed"):
            dispatcher.run()
    assert lag(bus) == 1


def test_stopping_waits_for_what_is_out_commits_it_and_takes_nothing_new(bus: MemoryBus) -> None:
    held = threading.Event()

    def answer(_: Request) -> Say:
        held.wait(5)
        return Say()

    publish(bus, ["run-1"], each=3)
    with Function(answer) as function:
        dispatcher = Dispatcher(bus, GROUP, [Route(AGENT_RESULTS, function.url)], settings=FAST)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        wait_until(lambda: dispatcher._inflight.out == 1, 5, "one out", poll=0.001)
        dispatcher.stop()
        thread.join(0.1)
        assert thread.is_alive()
        held.set()
        thread.join(5)
        assert not thread.is_alive()
        assert function.bodies() == [b"run-1:0"]
    assert lag(bus) == 2
    fresh = bus.consumer(GROUP, [AGENT_RESULTS])
    assert [each.record.value for each in fresh.poll(0)] == [b"run-1:1", b"run-1:2"]


def test_stopping_does_not_wait_for_an_answer_that_never_comes(bus: MemoryBus) -> None:
    held = threading.Event()

    def answer(_: Request) -> Say:
        held.wait(10)
        return Say()

    publish(bus, ["run-1"])
    with Function(answer) as function:
        impatient = DispatcherSettings(concurrency=1, drain=0.1)
        dispatcher = Dispatcher(bus, GROUP, [Route(AGENT_RESULTS, function.url)], settings=impatient)
        thread = threading.Thread(target=dispatcher.run)
        thread.start()
        wait_until(lambda: dispatcher._inflight.out == 1, 5, "one out")
        dispatcher.stop()
        thread.join(5)
        assert not thread.is_alive()
        held.set()
    assert lag(bus) == 1


def test_stopping_before_the_start_and_twice_is_fine(bus: MemoryBus) -> None:
    dispatcher = Dispatcher(bus, GROUP, [Route(AGENT_RESULTS, "http://127.0.0.1:1/")], settings=FAST)
    dispatcher.stop()
    dispatcher.stop()
    dispatcher.run()


def test_a_rebalance_in_the_middle_loses_nothing_and_keeps_the_order(bus: MemoryBus) -> None:
    keys = [f"run-{n}" for n in range(8)]
    publish(bus, keys, each=20)
    with Function() as function, dispatching(bus, function.url):
        for _ in range(5):
            wait_until(partial(_further, function, len(function.requests), bus), 10, "progress")
            bus.rebalance(GROUP)
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        for key, bodies in function.by_key().items():
            firsts = list(dict.fromkeys(bodies))
            assert firsts == [f"{key}:{n}".encode() for n in range(20)]


def _further(function: Function, before: int, bus: MemoryBus) -> bool:
    return len(function.requests) > before + 5 or lag(bus) == 0


def test_two_dispatchers_share_the_work_and_one_takes_over(bus: MemoryBus) -> None:
    with Function() as function, dispatching(bus, function.url) as one:
        with dispatching(bus, function.url) as two:
            wait_until(lambda: one._consumer and two._consumer, 5, "both joined")
            for n in range(40):
                publish(bus, [f"run-{n}"])
            wait_until(lambda: lag(bus) == 0, 10, "all committed")
        publish(bus, [f"late-{n}" for n in range(10)])
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert len(set(function.bodies())) == 50


def test_a_bus_that_is_away_is_waited_for(bus: MemoryBus) -> None:
    class Away(MemoryBus):
        tries = 0

        def consumer(self, group: str, topics: Sequence[str], *, member: str = "") -> object:  # type: ignore[override]
            Away.tries += 1
            if Away.tries < 4:
                raise TransientError("no broker answers")
            return super().consumer(group, topics, member=member)

    away = Away()
    publish(away, ["run-1"])
    with Function() as function, dispatching(away, function.url):
        wait_until(lambda: lag(away) == 0, 5, "all committed")
        assert Away.tries == 4


def test_a_defect_in_the_poster_costs_a_try_and_not_a_thread(bus: MemoryBus) -> None:
    class Broken:
        calls = 0

        def post(self, route: Route, received: Received) -> Reply:
            self.calls += 1
            if self.calls == 1:
                raise ZeroDivisionError("oops")
            return Answered(204)

        def close(self) -> None:
            """Nothing is held open."""

    poster = Broken()
    publish(bus, ["run-1"])
    dispatcher = Dispatcher(
        bus, GROUP, [Route(AGENT_RESULTS, "http://x/")], poster=poster,
        settings=DispatcherSettings(concurrency=1, patience=Patience(first=0.01)),
    )  # fmt: skip
    thread = threading.Thread(target=dispatcher.run)
    thread.start()
    wait_until(lambda: lag(bus) == 0, 5, "the commit")
    dispatcher.stop()
    thread.join(5)
    assert poster.calls == 2


def test_a_full_partition_is_held_back_and_everything_arrives_all_the_same(bus: MemoryBus) -> None:
    publish(bus, ["run-1"], each=200)
    narrow = DispatcherSettings(concurrency=2, buffer=10)
    with Function() as function, dispatching(bus, function.url, narrow) as dispatcher:
        held = []

        def over() -> bool:
            held.append(dispatcher.progress().unfinished)
            return lag(bus) == 0

        wait_until(over, 20, "all committed")
        assert max(held) <= 2 * 10
        assert function.bodies() == [f"run-1:{n}".encode() for n in range(200)]


def test_each_topic_goes_to_its_function(bus: MemoryBus) -> None:
    publish(bus, ["run-1"])
    publish(bus, ["run-2"], topic=AGENT_REPORT)
    with Function() as one, Function() as two:
        routes = [Route(AGENT_RESULTS, one.url), Route(AGENT_REPORT, two.url)]
        with dispatching(bus, "", routes=routes):
            wait_until(lambda: lag(bus) + lag(bus, AGENT_REPORT) == 0, 5, "all committed")
        assert (one.bodies(), two.bodies()) == ([b"run-1:0"], [b"run-2:0"])


def test_two_functions_for_one_topic_are_refused() -> None:
    routes = [Route(AGENT_RESULTS, "http://a/"), Route(AGENT_RESULTS, "http://b/")]
    with pytest.raises(PermanentError, match="one topic"):
        Dispatcher(MemoryBus(), GROUP, routes)


def test_an_address_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(PermanentError, match="no address"):
        Dispatcher(MemoryBus(), GROUP, [Route(AGENT_RESULTS, "orchestrator")])


# --- dead letters and back -------------------------------------------------------------------------


def buried(bus: MemoryBus, count: int = 3) -> tuple[DeadLetter, ...]:
    publish(bus, ["run-1"], each=count)
    with Function(lambda _: Say(404)) as function, dispatching(bus, function.url):
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
    return dead_letters(bus)


def test_a_redriven_record_is_delivered_as_it_was_and_its_letter_is_closed(bus: MemoryBus) -> None:
    first, second, third = buried(bus)
    assert redrive(bus, [first, third]) == 2
    assert [each.id for each in dead_letters(bus)] == [second.id]
    with Function() as function, dispatching(bus, function.url):
        wait_until(lambda: lag(bus) == 0, 10, "all committed")
        assert function.bodies() == [b"run-1:0", b"run-1:2"]


def test_no_dead_letters_are_read_at_once(bus: MemoryBus) -> None:
    began = time.monotonic()
    assert dead_letters(bus) == ()
    assert time.monotonic() - began < 1


def test_letters_stay_open_when_they_could_not_be_put_back(bus: MemoryBus) -> None:
    letters = buried(bus)
    bus.fail_publish(Fault.LOST)
    with pytest.raises(TransientError):
        redrive(bus, letters)
    assert [each.id for each in dead_letters(bus)] == [each.id for each in letters]
