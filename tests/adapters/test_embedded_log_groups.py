"""Members that die, hang and come back."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping

import pytest
from sqlalchemy import text

from tests.waiting import wait_until
from turnout.adapters.embedded_log import groups
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.embedded_log.heartbeats import Heartbeats
from turnout.adapters.embedded_log.log import Partition
from turnout.adapters.embedded_log.process import Process, is_gone, this_process, watch
from turnout.adapters.embedded_log.readers import LOOK_ANYWAY, EmbeddedConsumer
from turnout.adapters.store.database import Database
from turnout.core.envelope import Record
from turnout.core.errors import PermanentError, Rebalanced, TurnoutError
from turnout.core.ports import Position
from turnout.core.topics import AGENT_RESULTS

ALL = {(AGENT_RESULTS, number) for number in range(6)}

MEMBER = """
import sys
from turnout.adapters.embedded_log.bus import EmbeddedBus
from turnout.adapters.store.database import Database
consumer = EmbeddedBus(Database(sys.argv[1])).consumer("group", ["agent.results"], member=sys.argv[2])
consumer.poll(0)
print(len(consumer.assignment()), flush=True)
while True:
    consumer.poll(60)
"""


@pytest.fixture
def database(sqlite_database: str) -> Iterator[Database]:
    opened = Database(sqlite_database, synchronous="NORMAL")
    yield opened
    opened.close()


Join = Callable[..., EmbeddedConsumer]


@pytest.fixture
def join(database: Database) -> Iterator[Join]:
    made: list[EmbeddedConsumer] = []

    def consumer(member: str = "", timeout: float = 30.0) -> EmbeddedConsumer:
        made.append(
            EmbeddedBus(database, session_timeout=timeout).consumer("group", [AGENT_RESULTS], member=member)
        )
        made[-1].poll(0)
        return made[-1]

    yield consumer
    for each in made:
        each.close()


@pytest.fixture
def start_member(sqlite_database: str) -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """A member in a process of its own, which has joined and owns something."""
    started: list[subprocess.Popen[str]] = []

    def start(member: str) -> subprocess.Popen[str]:
        child = subprocess.Popen(
            [sys.executable, "-c", MEMBER, sqlite_database, member], stdout=subprocess.PIPE, text=True
        )
        started.append(child)
        assert child.stdout is not None
        assert int(child.stdout.readline()) > 0
        return child

    yield start
    for child in started:
        child.kill()
        child.wait()
        assert child.stdout is not None
        child.stdout.close()


def owns(consumer: EmbeddedConsumer) -> set[tuple[str, int]]:
    consumer.poll(0)
    return set(consumer.assignment())


def test_a_member_that_is_killed_is_given_up_at_once(
    join: Join, start_member: Callable[[str], subprocess.Popen[str]]
) -> None:
    survivor = join("here")
    child = start_member("there")
    wait_until(lambda: len(owns(survivor)) == 3, message="the two share")
    child.kill()
    child.wait()
    began = time.monotonic()
    wait_until(lambda: owns(survivor) == ALL, 10, "the survivor takes over", poll=0.002)
    assert time.monotonic() - began < 5, "long before its session ran out"


def test_a_killed_process_that_starts_again_takes_its_partitions_back_at_once(
    join: Join, start_member: Callable[[str], subprocess.Popen[str]]
) -> None:
    first = start_member("there")
    first.kill()
    first.wait()
    consumer = join("there")
    assert set(consumer.assignment()) == ALL


def test_a_member_that_hangs_is_given_up_when_its_session_runs_out_and_comes_back(join: Join) -> None:
    hanging, other = join("one", timeout=0.4), join("two", timeout=0.4)
    wait_until(lambda: len(owns(hanging)) == 3, message="the two share")
    hanging._heartbeats.remove(hanging)  # as if its process were stopped
    wait_until(lambda: owns(other) == ALL, message="the other takes over")
    assert owns(hanging) == set(), "it learns that all was lost"
    wait_until(lambda: len(owns(hanging)) == 3, message="it joins again")
    wait_until(lambda: len(owns(other)) == 3, message="the other gives back")


@pytest.mark.parametrize(
    "where", ["sqlite_database", pytest.param("postgres_tables", marks=pytest.mark.real)]
)
def test_who_waits_is_woken_by_a_member_that_leaves_what_it_had_not_read(
    where: str, request: pytest.FixtureRequest
) -> None:
    opened = Database(request.getfixturevalue(where))
    bus = EmbeddedBus(opened, session_timeout=30)
    survivor, leaver = (bus.consumer("group", [AGENT_RESULTS], member=name) for name in ("a", "b"))
    survivor.poll(0)
    leaver.poll(0)
    wait_until(lambda: len(owns(survivor)) == 3, message="the two share")
    theirs = [f"k{number}" for number in range(30)]
    bus.producer().publish([Record(AGENT_RESULTS, key, b"") for key in theirs])
    read = {each.record.key for _ in range(3) for each in survivor.poll(0)}
    assert 0 < len(read) < len(theirs)
    left = threading.Timer(0.05, leaver.close)
    began = time.monotonic()
    left.start()
    read |= {each.record.key for each in survivor.poll(20)}
    took = time.monotonic() - began
    left.join()
    assert read == set(theirs)
    assert took < LOOK_ANYWAY, "it was woken, and did not only look by itself"
    survivor.close()
    opened.close()


def test_a_partition_that_was_away_meanwhile_is_seen_as_lost_before_it_comes_back(join: Join) -> None:
    steady = join("a")
    assert owns(steady) == ALL
    guest = join("b")
    lent = set(guest.assignment())
    guest.close()
    assert owns(steady) == ALL - lent
    assert owns(steady) == ALL


def test_nothing_can_be_committed_of_a_partition_that_was_away_meanwhile(join: Join) -> None:
    steady = join("a")
    guest = join("b")
    topic, number = sorted(guest.assignment())[0]
    guest.close()
    with pytest.raises(Rebalanced):
        steady.commit([Position(topic, number, 1)])
    owns(steady)
    owns(steady)
    steady.commit([Position(topic, number, 1)])


def test_a_replaced_member_is_told_to_take_a_name_of_its_own(join: Join) -> None:
    old = join("one")
    new = join("one")
    with pytest.raises(PermanentError, match="member one of group group"):
        old.poll(0)
    assert owns(new) == ALL


def test_what_a_replaced_member_owned_goes_to_its_successor_and_to_nobody_else(join: Join) -> None:
    one, two = join("one"), join("two")
    its_own, others = owns(one), owns(two)
    again = join("one")
    assert set(again.assignment()) == its_own | (its_own - others)
    assert owns(two) == others


def test_a_closed_end_says_so(database: Database, join: Join) -> None:
    consumer, producer = join("one"), EmbeddedBus(database).producer()
    consumer.close()
    producer.close()
    with pytest.raises(PermanentError, match="closed"):
        consumer.poll(0)
    with pytest.raises(PermanentError, match="closed"):
        producer.publish([Record(AGENT_RESULTS, "k", b"")])


def test_a_poll_that_nobody_rang_asks_the_database_nothing(
    join: Join, monkeypatch: pytest.MonkeyPatch
) -> None:
    consumer = join("one")
    consumer.poll(0)  # it was rung itself when it came
    looks: list[int] = []
    sync = consumer._sync

    def counted() -> Mapping[Partition, int] | None:
        looks.append(1)
        return sync()

    monkeypatch.setattr(consumer, "_sync", counted)
    assert consumer.poll(0.01) == []
    assert looks == []
    assert consumer.poll(0) == []
    assert looks == [1], "without time to wait it looks"


def test_what_a_poll_had_no_room_for_comes_with_the_next_though_nobody_rang(
    database: Database, join: Join
) -> None:
    consumer = join("one")
    producer = EmbeddedBus(database).producer()
    producer.publish([Record(AGENT_RESULTS, f"k{number % 4}", b"") for number in range(10)])
    assert [len(consumer.poll(5, 4)) for _ in range(3)] == [4, 4, 2]
    partitions = consumer.assignment()
    consumer.pause(partitions)
    producer.publish([Record(AGENT_RESULTS, "k", b"")])
    assert consumer.poll(0.01) == []
    consumer.resume(partitions)
    assert len(consumer.poll(5)) == 1


def test_the_heartbeats_end_with_the_last_consumer(database: Database) -> None:
    bus = EmbeddedBus(database)
    consumers = [bus.consumer("group", [AGENT_RESULTS]) for _ in range(2)]
    for each in consumers:
        each.poll(0)
    beats = consumers[0]._heartbeats
    assert beats._thread is not None
    thread = beats._thread
    consumers[0].close()
    assert thread.is_alive()
    consumers[1].close()
    assert not thread.is_alive()


def test_a_consumer_that_is_forgotten_is_given_up_in_time(database: Database, join: Join) -> None:
    """A member that nobody holds any more says nothing any more."""
    other = join("two", timeout=0.4)
    beats = Heartbeats(database, other._log.bell, 0.4)

    class Forgotten:
        group, session = "group", "forgotten"

    forgotten = Forgotten()
    with database.change() as link:
        groups.join(link, "group", "one", "forgotten", this_process(), {AGENT_RESULTS: sorted(ALL)}, 400_000)
    beats.add(forgotten)
    wait_until(lambda: len(owns(other)) == 3, message="the two share")
    del forgotten
    wait_until(lambda: owns(other) == ALL, message="the other takes over")
    thread = beats._thread
    assert thread is not None
    thread.stop()


def test_the_database_may_be_away_for_a_while(database: Database, join: Join) -> None:
    consumer = join("one", timeout=0.3)
    beats, failures = consumer._heartbeats, []
    beat = beats.beat

    def counted() -> None:
        try:
            beat()
        except TurnoutError as error:
            failures.append(error)
            raise

    beats.beat = counted  # type: ignore[method-assign]
    with database.write() as connection:
        connection.execute(text("ALTER TABLE log_members RENAME TO away"))
    wait_until(lambda: failures, message="a heartbeat fails")
    with database.write() as connection:
        connection.execute(text("ALTER TABLE away RENAME TO log_members"))
    wait_until(lambda: owns(consumer) == ALL, message="it is a member still, or again")


# --- processes ----------------------------------------------------------------------------------------


def test_this_process_lives() -> None:
    assert not is_gone(this_process())


def test_an_ended_process_is_gone_even_before_its_parent_has_noticed() -> None:
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    mine = this_process()
    known = Process(mine.host, child.pid, "")
    assert not is_gone(known)
    os.kill(child.pid, signal.SIGKILL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert is_gone(Process(mine.host, child.pid, "12345"))
    child.wait()
    assert is_gone(known)


def test_a_pid_that_was_given_out_again_is_another_process() -> None:
    mine = this_process()
    assert is_gone(Process(mine.host, mine.pid, "1"))


def test_of_another_machine_nothing_is_known() -> None:
    assert not is_gone(Process("elsewhere", 2**22 + 1, "1"))
    assert watch(Process("elsewhere", os.getpid(), "1")) is None


def test_the_end_of_a_watched_process_is_seen() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    descriptor = watch(Process(this_process().host, child.pid, ""))
    assert descriptor is not None
    child.kill()
    child.wait()
    assert child.stdin is not None
    child.stdin.close()
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(5000)
    os.close(descriptor)
