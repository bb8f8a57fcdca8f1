"""Another user of the same machine: curious, without rights of his own, beside a stack that runs."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.e2e.system import System
from tests.real import require
from tests.runtimes.test_sandbox_files import SOMEBODY as TOOLS
from turnout.adapters.embedded_log.wake_sockets import SocketBell, folder_for
from turnout.adapters.settings import read_settings
from turnout.core.errors import TransientError
from turnout.runtimes.sandbox import NoSandbox, SandboxSpec, start
from turnout.wiring import prepare

pytestmark = [pytest.mark.real, pytest.mark.timeout(240)]

NEIGHBOUR = 65531
assert NEIGHBOUR != TOOLS


def as_the_neighbour(work: Callable[[], object]) -> object:
    """What ``work`` answers, or what it is refused with, in a process of the other user's."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresgid(NEIGHBOUR, NEIGHBOUR, NEIGHBOUR)
            os.setresuid(NEIGHBOUR, NEIGHBOUR, NEIGHBOUR)
            try:
                answer: object = work()
            except OSError as error:
                answer = error.strerror
            except Exception as error:
                answer = repr(error)
            os.write(write, json.dumps(answer).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as told:
        said = told.read()
    os.waitpid(pid, 0)
    return json.loads(said)


@pytest.fixture(scope="module")
def open_folder() -> Iterator[Path]:
    """Where everybody may look, so that it is Turnout's own modes that keep others out."""
    require("the right to become another user", os.geteuid() == 0, "run the tests as root")
    folder = Path(tempfile.mkdtemp(prefix="turnout-neighbours-", dir="/var/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def system(open_folder: Path, session_home: None) -> Iterator[System]:
    (open_folder / "state").mkdir(mode=0o755)  # as an operator may have made it
    with System(open_folder) as made:
        made.make_repository()
        made.start()
        made.wait_for([made.deliver()])
        yield made


def test_the_state_folder_is_closed_although_it_was_made_open(system: System) -> None:
    home = system.wiring.settings.home
    assert as_the_neighbour(lambda: os.listdir(home)) == "Permission denied"
    for name in (
        "turnout.db",
        "server.key",
        "stack.json",
        "projects/shop.yml",
        "artifacts",
        "claims",
        "spool",
    ):
        place = home / name
        assert place.exists() or name == "spool", name
        assert as_the_neighbour(lambda place=place: os.stat(place).st_size) == "Permission denied"  # type: ignore[misc]
    assert as_the_neighbour(lambda: Path(home, "projects/evil.yml").write_text("x")) == "Permission denied"


def test_the_functions_take_nothing_from_him_but_signed_deliveries(system: System) -> None:
    urls = system.running.urls

    def post(name: str) -> object:
        url = urlsplit(urls[name])
        connection = http.client.HTTPConnection(url.hostname or "", url.port, timeout=10)
        message = {"run": "r", "by": "mallory"}
        headers = {"ce-id": "1", "ce-source": "/s", "ce-type": "turnout.run.cancel", "ce-specversion": "1.0"}
        headers["content-type"] = "application/json"
        connection.request("POST", url.path, json.dumps(message), headers)
        return connection.getresponse().status

    inner = ("orchestrator", "launcher", "reporter", "sweeper")
    said = {name: as_the_neighbour(lambda name=name: post(name)) for name in ("webhook", *inner)}  # type: ignore[misc]
    assert said == {"webhook": 401, **dict.fromkeys(inner, 403)}


def test_the_stack_goes_on_working_behind_its_locked_doors(system: System) -> None:
    """The dispatcher and the scheduler have the key: a run goes all the way."""
    (run,) = system.wait_for([system.deliver()])
    assert run.outcome is not None
    assert run.outcome.value == "success"


def test_its_processes_show_him_no_environment_and_take_no_signal(system: System) -> None:
    for pid in system.running.parts.values():
        environ = Path(f"/proc/{pid}/environ")
        assert as_the_neighbour(lambda environ=environ: environ.read_text()) == "Permission denied"  # type: ignore[misc]
        assert as_the_neighbour(lambda pid=pid: os.kill(pid, 15)) == "Operation not permitted"  # type: ignore[misc]
        files = f"/proc/{pid}/fd"
        assert as_the_neighbour(lambda files=files: os.listdir(files)) == "Permission denied"  # type: ignore[misc]


def test_a_wake_socket_is_closed_to_him_also_where_it_had_to_go_to_the_common_folder(
    open_folder: Path,
) -> None:
    deep = open_folder / ("long" * 30) / "turnout.db"
    deep.parent.mkdir(mode=0o755)
    assert folder_for(deep).parent == Path("/tmp")
    bell = SocketBell(deep)
    listener = bell.listen(["t"])
    try:
        (door,) = bell.folder.iterdir()

        def knock() -> object:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as knocking:
                knocking.connect(str(door))
            return "open"

        assert as_the_neighbour(knock) == "Permission denied"
    finally:
        listener.close()


def test_a_folder_that_he_has_put_in_the_way_is_not_used(open_folder: Path) -> None:
    deep = open_folder / ("else" * 30) / "turnout.db"
    deep.parent.mkdir(mode=0o755)
    taken = folder_for(deep)
    assert as_the_neighbour(lambda: os.mkdir(taken, 0o777)) is None
    try:
        with pytest.raises(TransientError, match="is not a folder of this user alone"):
            SocketBell(deep).listen(["t"])
    finally:
        taken.rmdir()


def test_a_tools_private_folder_is_closed_to_him_where_there_is_no_sandbox(open_folder: Path) -> None:
    workspace = open_folder / "workspace"
    workspace.mkdir()
    sandbox = NoSandbox("this is a test", None)
    with start(
        ["sh", "-c", "echo theirs > $TMPDIR/file; echo $TMPDIR; read line"],
        SandboxSpec(workspace), sandbox, stdout=subprocess.PIPE, stdin=subprocess.PIPE,
    ) as tool:  # fmt: skip
        assert tool.stdout is not None
        folder = tool.stdout.readline().decode().strip()
        assert Path(folder, "file").exists()
        assert as_the_neighbour(lambda: os.listdir(folder)) == "Permission denied"


def test_a_home_is_closed_when_the_stack_prepares_it(open_folder: Path) -> None:
    home = open_folder / "prepared"
    home.mkdir(mode=0o777)
    prepare(read_settings({"TURNOUT_HOME": str(home)}))
    assert home.stat().st_mode & 0o777 == 0o700
