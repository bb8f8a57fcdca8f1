"""A supervisor in a process of its own, with parts that write down what happens to them.

``python -m tests.stack.supervised FOLDER NAME…`` runs the named parts of `PARTS`; `Supervised` starts that.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tests.waiting import wait_until
from turnout.logging import configure_logging
from turnout.stack import supervisor
from turnout.stack.supervisor import SIGNALS, Part, Ready, Supervisor, ready_from_environment

ROOT = Path(__file__).resolve().parents[2]
PR_GET_PDEATHSIG = 2


def note(name: str, what: str, **more: Any) -> None:
    line = json.dumps({"part": name, "what": what, "pid": os.getpid(), "at": time.monotonic(), **more})
    with open("notes", "a") as file:
        file.write(line + "\n")


def steady(name: str, ready: Ready, *, drains: float = 0.0) -> None:
    """Until SIGTERM; then it takes ``drains`` seconds to end."""

    def stopped(_number: int, _frame: object) -> None:
        note(name, "told to stop")
        time.sleep(drains)
        note(name, "drained")
        sys.exit(0)

    signal.signal(signal.SIGTERM, stopped)
    note(name, "started")
    ready()
    while True:
        signal.pause()


def stubborn(name: str, ready: Ready) -> None:
    signal.signal(signal.SIGTERM, lambda _number, _frame: note(name, "told to stop"))
    note(name, "started")
    ready()
    while True:
        signal.pause()


def never_ready(name: str, _ready: Ready) -> None:
    steady(name, lambda: None)


def crashing(name: str, ready: Ready, *, after: float = 0.0) -> None:
    note(name, "started")
    ready()
    time.sleep(after)
    raise RuntimeError("on purpose")


def second_try(name: str, ready: Ready) -> None:
    if not Path("tried").exists():
        Path("tried").touch()
        note(name, "started")
        raise RuntimeError("not this time")
    steady(name, ready)


def telling(name: str, ready: Ready) -> None:
    """Writes down how signals reach it."""
    died = ctypes.c_int()
    ctypes.CDLL(None).prctl(PR_GET_PDEATHSIG, ctypes.byref(died))
    blocked = signal.pthread_sigmask(signal.SIG_BLOCK, [])
    note(
        name,
        "told",
        blocked=sorted(int(each) for each in blocked),
        handled=[int(each) for each in SIGNALS if signal.getsignal(each) is not signal.SIG_DFL],
        death=died.value,
        group=os.getpgid(0),
    )
    steady(name, ready)


def serving(name: str, ready: Ready) -> None:
    """Functions, as a stack serves them; the one there is takes a while to answer."""
    from turnout.stack.parts import run_functions

    def slow(_environ: Any, start_response: Any) -> list[bytes]:
        note(name, "asked")
        time.sleep(0.3)
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"done\n"]

    listening = socket.create_server(("127.0.0.1", 0))
    note(name, "listens", port=listening.getsockname()[1])
    run_functions(listening.detach(), ready, lambda: slow)


def executed() -> None:
    note(os.environ["PART"], "executed", lives_in=os.getcwd())
    steady(os.environ["PART"], ready_from_environment())


def _part(body: Callable[..., None], name: str, order: int = 0, grace: float = 15.0, **more: Any) -> Part:
    return Part(name, partial(body, name, **more), order=order, grace=grace)


def parts() -> Mapping[str, Part]:
    made = [
        _part(steady, "first", order=0, drains=0.2),
        _part(steady, "second", order=1, drains=0.1),
        _part(steady, "third", order=2),
        _part(stubborn, "stubborn", grace=60),
        _part(stubborn, "hurried", grace=0.2),
        _part(never_ready, "late"),
        _part(crashing, "crashing"),
        _part(crashing, "unlucky", after=0.15),
        _part(second_try, "second_try"),
        _part(telling, "telling"),
        _part(serving, "serving"),
        Part(
            "executed",
            argv=[sys.executable, "-c", "from tests.stack.supervised import executed; executed()"],
            env={"PART": "executed", "PYTHONPATH": str(ROOT)},
        ),
        Part("missing", argv=["/no/such/program"]),
    ]
    return {each.name: each for each in made}


def main(folder: str, wait: str, *names: str) -> None:
    os.chdir(folder)
    configure_logging()
    supervisor.RESTART_AFTER, supervisor.STEADY = 0.05, 0.1
    chosen = parts()
    running = Supervisor([chosen[name] for name in names], lambda pids: note("", "changed", pids=dict(pids)))
    running.start()
    note("", "ready", late=list(running.wait_ready(float(wait))))
    running.run()
    note("", "ended")


class Supervised:
    """``with Supervised(folder, "first", "second") as running``: as ready as it gets in ``wait`` seconds."""

    def __init__(self, folder: Path, *names: str, wait: float = 20.0) -> None:
        self.folder, self.names, self.wait = folder, names, wait

    def __enter__(self) -> Self:
        (self.folder / "notes").touch()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "tests.stack.supervised",
                    str(self.folder),
                    str(self.wait),
                    *self.names,
                ],
                cwd=ROOT,
                stderr=log,
            )
        self.up()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()
        self.process.wait(10)
        for pid in {each["pid"] for each in self.notes()}:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it has ended, as it should

    def up(self) -> None:
        self.noted("", "ready")

    def notes(self, part: str | None = None, what: str = "") -> list[dict[str, Any]]:
        text = (self.folder / "notes").read_text()
        found = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
        return [each for each in found if part in (None, each["part"]) and what in ("", each["what"])]

    def noted(self, part: str, what: str, times: int = 1) -> list[dict[str, Any]]:
        """Wait until a part has written this down so often."""

        def enough() -> list[dict[str, Any]]:
            found = self.notes(part, what)
            return found if len(found) >= times else []

        return wait_until(enough, 30, f"{part or 'the supervisor'}: {what}")

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def pids(self) -> dict[str, int]:
        found = self.notes("", "changed")[-1]["pids"]
        assert isinstance(found, dict)
        return found


def alive(pid: int) -> bool:
    """Whether it runs still; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
