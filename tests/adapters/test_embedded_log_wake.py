"""Wake-ups through sockets beside a SQLite file."""

from __future__ import annotations

import os
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.waiting import wait_until
from turnout.adapters.embedded_log import wake_sockets
from turnout.adapters.embedded_log.wake import Listener
from turnout.adapters.embedded_log.wake_postgres import NotifyBell
from turnout.adapters.embedded_log.wake_sockets import SocketBell, folder_for, mask
from turnout.adapters.store.database import Database
from turnout.core.errors import TransientError


@pytest.fixture
def folder() -> Iterator[Path]:
    """With a path that is short enough for a socket."""
    with TemporaryDirectory(prefix="turnout-", dir="/tmp") as name:
        yield Path(name)


@pytest.fixture
def bell(folder: Path) -> SocketBell:
    return SocketBell(folder / "t.db")


def waited(listener: Listener, seconds: float) -> float:
    began = time.monotonic()
    listener.wait(seconds)
    return time.monotonic() - began


def test_a_ring_is_heard_by_those_it_concerns_and_by_no_other(bell: SocketBell) -> None:
    concerned, other = bell.listen({"a", "b"}), bell.listen({"c"})
    bell.ring({"b"})
    assert waited(concerned, 5) < 2
    assert waited(other, 0.05) >= 0.04
    concerned.close()
    other.close()


def test_a_ring_between_looking_and_waiting_is_not_lost(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    listener.clear()
    bell.ring({"a"})
    assert waited(listener, 5) < 2
    listener.clear()
    assert waited(listener, 0.05) >= 0.04
    listener.close()


def test_whoever_is_about_to_look_is_told_whether_it_was_rung_since_the_last_time(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    assert not listener.clear()
    bell.ring({"a"})
    assert waited(listener, 5) < 2
    listener.wake()
    assert listener.clear()
    assert not listener.clear()
    listener.wake()
    assert not listener.clear(), "to be woken is not to be rung"
    listener.close()


def test_a_ring_from_another_thread_ends_a_wait(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    ringer = threading.Timer(0.05, lambda: bell.ring({"a"}))
    ringer.start()
    assert waited(listener, 5) < 2
    ringer.join()
    listener.close()


def test_a_wake_ends_one_wait_and_says_so(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    listener.wake()
    assert listener.wait(5)
    listener.clear()
    assert not listener.wait(0.01)
    bell.ring({"a"})
    assert not listener.wait(5)
    listener.close()
    listener.wake()


def test_more_rings_than_the_queue_holds_are_as_good_as_one(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    for _ in range(2000):
        bell.ring({"a"})
    assert waited(listener, 5) < 2
    listener.clear()
    assert waited(listener, 0.05) >= 0.04
    listener.close()


def test_ringing_where_nobody_has_ever_listened_is_fine(bell: SocketBell) -> None:
    bell.ring({"a"})
    assert not bell.folder.exists()


def leave_a_stale_socket(bell: SocketBell, name: str) -> Path:
    """As a process that was killed leaves it."""
    bell.folder.mkdir(mode=0o700, exist_ok=True)
    path = bell.folder / name
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as dead:
        dead.bind(str(path))
    return path


def test_the_socket_of_a_dead_process_is_removed_by_whoever_rings_for_it(bell: SocketBell) -> None:
    stale = leave_a_stale_socket(bell, f"{mask({'a'}):016x}-1-0")
    bell.ring({"b"})
    assert stale.exists()
    bell.ring({"a"})
    assert not stale.exists()


def test_the_sockets_of_dead_processes_are_removed_by_whoever_listens_next(bell: SocketBell) -> None:
    stale = leave_a_stale_socket(bell, f"{mask({'a'}):016x}-1-0")
    listener = bell.listen({"b"})
    assert not stale.exists()
    listener.close()


def test_a_living_socket_is_left_alone_by_another_listener(bell: SocketBell) -> None:
    first, second = bell.listen({"a"}), bell.listen({"a"})
    bell.ring({"a"})
    assert waited(first, 5) < 2
    assert waited(second, 5) < 2
    first.close()
    second.close()


def test_the_folder_is_private_and_goes_with_the_last_listener(bell: SocketBell) -> None:
    first, second = bell.listen({"a"}), bell.listen({"a"})
    assert stat.S_IMODE(bell.folder.stat().st_mode) == 0o700
    first.close()
    assert bell.folder.exists()
    second.close()
    assert not bell.folder.exists()


def test_strange_files_in_the_folder_hurt_nobody(bell: SocketBell) -> None:
    listener = bell.listen({"a"})
    (bell.folder / "notes.txt").write_text("hello")
    (bell.folder / "ffffffffffffffff-1-1").write_text("no socket")
    bell.ring({"a"})
    assert waited(listener, 5) < 2
    again = bell.listen({"a"})
    again.close()
    listener.close()
    assert (bell.folder / "notes.txt").exists()


def test_a_long_path_gets_a_short_folder_that_all_processes_find(folder: Path) -> None:
    deep = folder / ("x" * 60) / ("y" * 60)
    deep.mkdir(parents=True)
    found = folder_for(deep / "turnout.db")
    assert found == folder_for(deep / ".." / ("y" * 60) / "turnout.db")
    assert found != folder_for(deep / "other.db")
    assert len(os.fsencode(found)) < 60
    bell = SocketBell(deep / "turnout.db")
    listener = bell.listen({"a"})
    bell.ring({"a"})
    assert waited(listener, 5) < 2
    listener.close()


def test_a_short_path_keeps_its_sockets_beside_the_database(folder: Path) -> None:
    assert folder_for(folder / "turnout.db") == folder / "turnout.db.wake"


@pytest.mark.parametrize("made", ["open to others", "a file", "a link"])
def test_a_folder_that_is_not_ours_alone_is_refused(folder: Path, bell: SocketBell, made: str) -> None:
    match made:
        case "open to others":
            bell.folder.mkdir()
            bell.folder.chmod(0o777)
        case "a file":
            bell.folder.write_text("")
        case _:
            (folder / "elsewhere").mkdir(mode=0o700)
            bell.folder.symlink_to(folder / "elsewhere")
    with pytest.raises(TransientError, match=r"t\.db\.wake"):
        bell.listen({"a"})


def test_a_listener_whose_folder_is_taken_away_meanwhile_makes_it_anew(
    bell: SocketBell, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = wake_sockets.SocketListener
    tries: list[Path] = []

    def vanishing(path: Path) -> wake_sockets.SocketListener:
        tries.append(path)
        if len(tries) < 3:
            path.parent.rmdir()
        return made(path)

    monkeypatch.setattr(wake_sockets, "SocketListener", vanishing)
    bell.listen({"a"}).close()
    assert len(tries) == 3


# --- PostgreSQL -------------------------------------------------------------------------------------


def ring(database: Database, bell: NotifyBell, *names: str) -> None:
    with database.change() as link:
        bell.ring_within(link, set(names))


@pytest.fixture
def server(postgres_tables: str) -> Iterator[Database]:
    database = Database(postgres_tables)
    yield database
    database.close()


def test_the_server_rings_at_the_commit_for_those_concerned(server: Database) -> None:
    bell = NotifyBell(server)
    concerned, other = bell.listen({"a", "b"}), bell.listen({"c"})
    with server.change() as link:
        bell.ring_within(link, {"b", "x"})
        assert waited(concerned, 0.05) >= 0.04
    assert waited(concerned, 5) < 2
    assert waited(other, 0.05) >= 0.04
    concerned.clear()
    assert waited(concerned, 0.05) >= 0.04
    concerned.close()
    other.close()


def test_what_the_server_rang_is_known_at_the_next_look_whether_it_was_waited_for_or_not(
    server: Database,
) -> None:
    bell = NotifyBell(server)
    listener = bell.listen({"a"})
    assert not listener.clear()
    for wait in (lambda: waited(listener, 5), lambda: wait_until(listener.clear, 5)):
        ring(server, bell, "a")
        wait()
    ring(server, bell, "a")
    assert waited(listener, 5) < 2
    listener.wake()
    assert listener.clear()
    assert not listener.clear()
    listener.wake()
    assert not listener.clear()
    listener.close()


def test_more_names_than_a_notification_holds_concern_everyone(server: Database) -> None:
    bell = NotifyBell(server)
    listener = bell.listen({"a"})
    ring(server, bell, *[f"a rather long name of a topic, number {number}" for number in range(400)])
    assert waited(listener, 5) < 2
    listener.close()


def test_a_wake_ends_a_wait_for_the_server_too(server: Database) -> None:
    listener = NotifyBell(server).listen({"a"})
    listener.wake()
    assert listener.wait(5)
    listener.clear()
    assert not listener.wait(0.01)
    listener.close()
    listener.wake()


def test_a_listener_whose_connection_is_cut_connects_again(server: Database) -> None:
    bell = NotifyBell(server)
    listener = bell.listen({"a"})
    with server.write() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'turnout listener'"
        )
    assert waited(listener, 5) < 2
    assert listener.clear(), "what was rung meanwhile is not known"
    ring(server, bell, "a")
    assert waited(listener, 5) < 2
    listener.close()


def test_listening_to_a_server_that_is_away_says_so() -> None:
    with pytest.raises(TransientError, match="PostgreSQL"):
        NotifyBell(Database("postgresql+psycopg://u:p@127.0.0.1:1/d")).listen({"a"})
