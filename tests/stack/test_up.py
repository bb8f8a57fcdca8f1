from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from turnout.adapters.settings import Settings, read_settings
from turnout.core.errors import PermanentError
from turnout.stack import up
from turnout.stack.layout import FUNCTIONS, RESIDENT, Running, read_running, write_running
from turnout.stack.lock import StackLock, held
from turnout.stack.up import Options


@pytest.fixture
def settings(turnout_home: Path) -> Settings:
    return read_settings({"TURNOUT_HOME": str(turnout_home)})


def nothing(_running: object, _late: object) -> None:
    raise AssertionError("it came up")


def test_a_second_stack_of_the_same_home_is_refused_and_says_who_is_first(settings: Settings) -> None:
    first = StackLock(settings.home)
    assert first.take()
    write_running(settings.home, Running(pid=4711, urls={}, bus="embedded", store="sqlite"))
    with pytest.raises(PermanentError) as caught:
        up.up(settings, Options(), nothing)
    assert caught.value.message == f"a stack of {settings.home} is up already (process 4711)"
    assert caught.value.hint == "stop it first, or set TURNOUT_HOME"
    assert read_running(settings.home) is not None, "what the first one says of itself stays"
    first.drop()


def test_a_port_that_is_taken_is_refused_and_says_what_to_do(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(PermanentError) as caught:
            up.up(settings, Options(port=port), nothing)
    assert (
        str(caught.value)
        == f"127.0.0.1:{port} can't be listened on: Address already in use (choose another --port)"
    )


def test_an_address_that_is_not_of_this_machine_is_refused(settings: Settings) -> None:
    with pytest.raises(PermanentError, match="can't be listened on"):
        up.up(settings, Options(host="192.0.2.1", port=0), nothing)


def test_one_process_serves_all_functions_unless_each_is_to_have_its_own(settings: Settings) -> None:
    together, urls = up._together(settings, Options(port=0))
    assert [part.name for part in together] == ["functions", "dispatcher", "console", "agents"]
    assert len({urls[name].rsplit("/", 1)[0] for name in FUNCTIONS}) == 1
    separate, apart = up._separate(settings, Options(port=0, separate=True))
    assert [part.name for part in separate] == [
        *FUNCTIONS,
        "console",
        "dispatcher",
        *(f"agent-{kind}" for kind in RESIDENT),
    ]
    assert len(set(apart.values())) == len(FUNCTIONS) + 1
    assert list(urls) == list(apart) == [*FUNCTIONS, "console"]


def test_agents_are_stopped_first_and_functions_last(settings: Settings) -> None:
    """What agents and dispatcher still have to say, the functions take."""
    parts, _ = up._separate(settings, Options(port=0))
    order = {part.name: part.order for part in parts}
    assert order["agent-lint"] < order["dispatcher"] < order["orchestrator"] == order["webhook"]


def test_ports_of_separate_functions_follow_each_other(settings: Settings) -> None:
    _, urls = up._separate(settings, Options(port=9000))
    assert [urls[name].rsplit(":", 1)[1] for name in FUNCTIONS] == [
        f"900{number}" for number in range(len(FUNCTIONS))
    ]
    assert urls["console"] == "http://127.0.0.1:9010"


def test_where_the_store_is_shown_its_password_is_not() -> None:
    url = "postgresql+psycopg://turnout:hunter2@db:5432/turnout"
    shown = up._shown(read_settings({"TURNOUT_HOME": "/h", "TURNOUT_DATABASE_URL": url}))
    assert shown == "postgresql+psycopg://db:5432/turnout"
    assert up._shown(read_settings({"TURNOUT_HOME": "/h"})) == "sqlite:////h/turnout.db"


def test_a_home_that_came_to_nothing_is_free_again(settings: Settings) -> None:
    with pytest.raises(PermanentError):
        up.up(settings, Options(host="192.0.2.1", port=0), nothing)
    assert not held(settings.home)


def test_an_address_with_colons_stands_in_brackets() -> None:
    assert up._base_url("127.0.0.1", 80) == "http://127.0.0.1:80"
    assert up._base_url("::1", 80) == "http://[::1]:80"


def test_who_waits_for_a_function_to_come_up_ends_with_it(tmp_path: Path) -> None:
    """Otherwise the stack's lock outlives a stack that was killed, by as long as a function may take to come up."""
    held_open, kept = os.pipe()
    program = (
        "from turnout.stack.up import _served_alone; "
        "_served_alone(['/bin/false'], 0, 'http://127.0.0.1:1')(lambda: None)"
    )
    part = subprocess.Popen([sys.executable, "-c", program], pass_fds=[kept], cwd=tmp_path)
    os.close(kept)
    assert part.wait(timeout=30) == 1, "the function itself"
    try:
        ended, _, _ = select.select([held_open], [], [], 10)
        assert ended, "its watcher"
    finally:
        os.close(held_open)


def test_a_function_in_a_process_of_its_own_takes_up_who_connected_before_it_was_there(
    tmp_path: Path,
) -> None:
    """Its port can't be lost to others while it is started again, and nobody is refused."""
    program = (
        "import os, socket; assert os.environ['LISTEN_PID'] == str(os.getpid()); "
        "assert os.environ['LISTEN_FDS'] == '1'; "
        "client, _ = socket.socket(fileno=3).accept(); client.sendall(b'mine')"
    )
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port, descriptor = listening.getsockname()[1], listening.fileno()
        start = (
            f"import sys; from turnout.stack.up import _served_alone; "
            f"_served_alone([sys.executable, '-c', {program!r}], {descriptor}, 'http://127.0.0.1:1')(lambda: None)"
        )
        with socket.create_connection(("127.0.0.1", port), timeout=30) as early:
            part = subprocess.Popen([sys.executable, "-c", start], pass_fds=[descriptor], cwd=tmp_path)
            assert early.recv(10) == b"mine"
        assert part.wait(timeout=30) == 0
