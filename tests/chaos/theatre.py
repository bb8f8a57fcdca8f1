"""The whole system on a real broker and a real database, each behind a proxy, on a disk that can be filled; and the
strikes against it."""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from local.kafka.broker import Broker
from local.postgres.server import Postgres
from local.server_process import LocalServer
from tests.chaos.disk import SmallDisk, may_mount
from tests.chaos.processes import send, tree
from tests.chaos.proxy import Proxy
from tests.chaos.pushes import Repository, make_repositories
from tests.chaos.schedule import Kind, Strike
from tests.e2e.system import System
from tests.waiting import wait_until
from turnout.adapters.settings import read_settings
from turnout.core.errors import TurnoutError
from turnout.runtimes.marks import started_at
from turnout.stack.layout import read_running
from turnout.wiring import Wiring

STAGES = ("lint", "test", "build", "security", "deploy")
DISK = 96 << 20
TIMING = {"TURNOUT_LEASE": "30", "TURNOUT_HEARTBEAT": "5", "TURNOUT_SESSION_TIMEOUT": "10"}
"""As it comes."""
LAUNCHED = {"TURNOUT_LAUNCHER_RUNTIMES": "process", "TURNOUT_LAUNCHER_VIA": "gateway"}
LATENCY = 0.15
"""Seconds that each piece waits at a proxy while it is slow."""


@dataclass(frozen=True, slots=True)
class Struck:
    """``began`` and ``ended``: seconds since the epoch. ``note``: what it came to, where that isn't clear."""

    strike: Strike
    began: float
    ended: float
    note: str = ""


def pipeline(effects: Path) -> str:
    """Five stages, two of them side by side; each writes down that it was done, and by which attempt."""
    needs = {"lint": [], "test": ["lint"], "build": ["lint"], "security": ["test", "build"]}
    lines = ["pipeline:", "  notify_on_success: true", "  stages:"]
    for name in STAGES:
        lines += [
            f"    - name: {name}",
            "      agent: script",
            f"      needs: [{', '.join(needs.get(name, ['security']))}]",
            f'      with: {{run: "echo $TURNOUT_RUN {name} $TURNOUT_ATTEMPT_NUMBER >> {effects}"}}',
        ]
    return "\n".join(lines) + "\n"


class Theatre:
    """``turnout up``, kept up as an init system would. ``shared``: each function in a process of its own, on Kafka and
    PostgreSQL, each behind a proxy; False: as it comes, on the embedded log and SQLite.

    ``launched``: each attempt is a job that the launcher starts with its pass, and no agent is resident.
    ``disk``: the home is on a small disk of its own; False: mounting one isn't allowed here.
    """

    def __init__(self, home: Path, *, shared: bool = True, launched: bool = False) -> None:
        self.home = home
        self.disk = may_mount()
        self.proxies: Mapping[str, Proxy] = {}
        self.servers: Mapping[str, LocalServer] = {}
        self.launched = launched
        self._shared = shared
        self.falls = 0  # how often the stack went down without being told to
        self._closing = ExitStack()
        self._over = threading.Event()
        self._meant = threading.Lock()  # held while the stack is down, or comes up, because we want it
        self.repositories: list[Repository] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            through, direct = self._servers(stack) if self._shared else ({}, {})
            if self.disk:
                self._small = stack.enter_context(SmallDisk(self.home / "state", DISK))
            settings = TIMING | through | (self._door(stack) if self.launched else {})
            arguments = ["--separate"] if self._shared else []
            self.system = stack.enter_context(System(self.home, settings, arguments))
            self.seen = Wiring(read_settings(self.system.environ | direct))
            stack.callback(self.seen.store.close)
            self._repositories()
            self._come_up()
            keeper = threading.Thread(target=self._keep_up, name="keeper", daemon=True)
            keeper.start()
            stack.callback(keeper.join)
            stack.callback(self._over.set)
            self._closing = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.__exit__(kind, error, trace)

    def _servers(self, stack: ExitStack) -> tuple[dict[str, str], dict[str, str]]:
        """The settings of the stack, whose connections go through the proxies; and what is different for us."""
        kafka, database = stack.enter_context(Proxy()), stack.enter_context(Proxy())
        broker = stack.enter_context(Broker(advertised_port=kafka.port))
        postgres = stack.enter_context(Postgres())
        kafka.target, database.target = broker.port, postgres.port
        self.proxies = {"kafka": kafka, "postgresql": database}
        self.servers = {"kafka": broker, "postgresql": postgres}
        direct = postgres.create_database("chaos")
        through = direct.replace(f":{postgres.port}/", f":{database.port}/")
        bootstrap = f"127.0.0.1:{kafka.port}"
        return (
            {"TURNOUT_DATABASE_URL": through, "TURNOUT_KAFKA_BOOTSTRAP": bootstrap},
            {"TURNOUT_DATABASE_URL": direct},
        )

    def _door(self, stack: ExitStack) -> dict[str, str]:
        """A place for the gateway that stays where it is, as in production: its ports are new each time here."""
        self._gateway = stack.enter_context(Proxy())
        return LAUNCHED | {"TURNOUT_GATEWAY_URL": f"http://127.0.0.1:{self._gateway.port}"}

    def _come_up(self) -> None:
        running = self.system.start()
        if self.launched:
            self._gateway.target = urlsplit(running.urls["gateway"]).port or 0

    def _repositories(self) -> None:
        self.repositories = make_repositories(self.home / "git", pipeline(self.system.effects))
        projects = self.system.wiring.settings.projects_folder
        projects.mkdir(parents=True, exist_ok=True)
        for each in self.repositories:
            (projects / f"{each.path.stem}.yml").write_text(
                f"project:\n  repository: {each.name}\n  clone_url: {each.path}\n"
            )

    def stop(self) -> int | None:
        """End the stack in good order; its exit status."""
        self._over.set()
        with self._meant:
            return self.system.stop()

    @property
    def webhook(self) -> str:
        """Empty: nothing is up just now."""
        running = read_running(self.system.wiring.settings.home)
        return running.urls["webhook"] if running else ""

    # --- strikes --------------------------------------------------------------------------------

    def strike(self, strike: Strike) -> Struck:
        """Carry it out, from its beginning to its end."""
        began = time.time()
        note = self._effect(strike)()
        return Struck(strike, began, time.time(), note)

    def _effect(self, strike: Strike) -> Callable[[], str]:
        match strike.kind:
            case Kind.KILL if strike.target == "supervisor":
                return lambda: self._kill_supervisor(whole=strike.whole)
            case Kind.KILL:
                return lambda: self._kill(strike.target, whole=strike.whole)
            case Kind.FREEZE:
                return lambda: self._freeze(strike)
            case Kind.RESTART:
                return lambda: self._restart(strike)
            case Kind.FULL:
                return lambda: self._full(strike.lasts)
            case _:
                return lambda: self._network(strike)

    @property
    def parts(self) -> Mapping[str, int]:
        """Their names and processes, as the stack last told them."""
        running = read_running(self.system.wiring.settings.home)
        return running.parts if running else {}

    def jobs(self) -> list[int]:
        """Processes of launched jobs that live."""
        marks = (self.system.wiring.settings.home / "jobs").glob("*.launched")
        told = [each.read_text().split() for each in sorted(marks)]
        return [int(each[0]) for each in told if len(each) == 2 and started_at(int(each[0])) == each[1]]

    def _processes(self, part: str, *, whole: bool) -> list[int]:
        if part == "jobs":
            with suppress(AssertionError):  # then it is told that it struck nothing
                wait_until(self.jobs, 20.0, "a job runs")
            return [pid for job in self.jobs() for pid in (tree(job) if whole else [job])]
        pid = self.parts.get(part)
        if pid is None:
            return []
        return tree(pid) if whole else [pid]

    def _kill(self, part: str, *, whole: bool) -> str:
        heard = send(self._processes(part, whole=whole), signal.SIGKILL)
        if part == "jobs" or whole:
            return f"{len(heard)} processes"
        return "" if heard else "it was not there"

    def _kill_supervisor(self, *, whole: bool) -> str:
        there = self.down(0.0, whole=whole)
        return ("with all its parts" if whole else "alone") if there else "it was not there"

    def down(self, seconds: float, *, whole: bool = True) -> bool:
        """SIGKILL the supervisor, with all its parts or alone; so long nobody starts it again. False: it was down."""
        with self._meant:
            if self.system.process is None or self.system.process.poll() is not None:
                return False
            self.system.kill_supervisor(with_parts=whole)
            wait(seconds)
            self._start()
        return True

    def _freeze(self, strike: Strike) -> str:
        # A function's server is a parent and a worker: stopping the parent alone would stop nothing.
        whole = strike.whole or strike.target not in ("dispatcher", "agent-script", "jobs")
        heard = send(self._processes(strike.target, whole=whole), signal.SIGSTOP)
        wait(strike.lasts)
        send(heard, signal.SIGCONT)
        return "" if heard else "it was not there"

    def _restart(self, strike: Strike) -> str:
        server = self.servers[strike.target]
        server.kill()
        wait(strike.lasts)
        server.start()
        return ""

    def _full(self, lasts: float) -> str:
        self._small.fill()
        wait(lasts)
        self._small.free()
        return ""

    def _network(self, strike: Strike) -> str:
        proxy = self.proxies[strike.target]
        met = proxy.connections
        match strike.kind:
            case Kind.CUT:
                proxy.reset()
            case Kind.HALF_CLOSE:
                proxy.half_close()
            case Kind.SLOW:
                proxy.delay(LATENCY)
                wait(strike.lasts)
                proxy.delay(0.0)
            case _:
                proxy.stall()
                wait(strike.lasts)
                proxy.flow(after_reset=strike.kind is Kind.BLACKHOLE)
        return f"{met} connections"

    # --- what an init system does ---------------------------------------------------------------

    def _keep_up(self) -> None:
        while not self._over.wait(0.2):
            with self._meant:
                process = self.system.process
                if self._over.is_set() or process is None or process.poll() is None:
                    continue
                self.falls += 1
                self._start()

    def _start(self) -> None:
        """As often as it takes."""
        while not self._over.is_set():
            try:
                self._come_up()
                return
            except (AssertionError, TurnoutError) as error:
                sys.stderr.write(f"chaos: the stack did not come up: {error}\n")
                if self.system.process is not None and self.system.process.poll() is None:
                    self.system.process.kill()
                    self.system.process.wait()
                self._over.wait(1.0)


def wait(seconds: float) -> None:
    """How long a strike lasts is what it is, not what something else is waited for."""
    threading.Event().wait(seconds)
