"""`turnout up`: the whole system on one machine."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from turnout.adapters.settings import Settings
from turnout.core.errors import PermanentError
from turnout.core.model import Runtime
from turnout.logging import get_logger
from turnout.stack import parts
from turnout.stack.layout import (
    CONSOLE,
    FUNCTIONS,
    RESIDENT,
    Running,
    forget_running,
    read_running,
    source_of,
    subscriptions,
    write_running,
)
from turnout.stack.lock import StackLock
from turnout.stack.supervisor import PR_SET_PDEATHSIG, Part, Supervisor

log = get_logger()

READY_WITHIN = 30.0
LISTEN_FD = 3
CONSOLE_ABOVE = 10
"""How far the console's port is above the functions'."""


@dataclass(frozen=True)
class Options:
    """``port`` 0: any free one; the console's is `CONSOLE_ABOVE` higher. ``separate``: each function and each agent
    kind in a process of its own."""

    host: str = "127.0.0.1"
    port: int = 8080
    separate: bool = False
    agents: Sequence[str] = RESIDENT  # and those of other packages that are installed here


def up(settings: Settings, options: Options, say: Callable[[Running, Sequence[str]], None]) -> None:
    """Run the stack until it is told to stop. ``say`` is called once it is up, with the parts that are not ready yet.

    Raises: PermanentError when a stack of this home is up already, or the port is taken.
    """
    lock = StackLock(settings.home)
    if not lock.take():
        running = read_running(settings.home)
        where = f" (process {running.pid})" if running else ""
        raise PermanentError(
            f"a stack of {settings.home} is up already{where}", "stop it first, or set TURNOUT_HOME"
        )
    try:
        _run(settings, options, say)
    finally:
        lock.drop()


def _run(settings: Settings, options: Options, say: Callable[[Running, Sequence[str]], None]) -> None:
    forget_running(settings.home)
    _prepare(settings)
    if Runtime.PROCESS in settings.runtimes:
        options = replace(options, agents=())  # the launcher starts what would be resident
    else:
        options = replace(options, agents=(*options.agents, *_installed(settings.kinds)))
    made, urls = (_separate if options.separate else _together)(settings, options)
    door = {
        "TURNOUT_FUNCTION_TOKEN": settings.door_key(),
        "TURNOUT_GATEWAY_URL": settings.gateway_url or urls["gateway"],
        "TURNOUT_CONSOLE_URL": settings.console_url or urls[CONSOLE],
    }
    made = [
        each if each.name.startswith("agent") else replace(each, env={**each.env, **door}) for each in made
    ]
    running = Running(
        pid=os.getpid(), urls=urls, bus=settings.kafka_bootstrap or "embedded", store=_shown(settings)
    )

    ready = False

    def changed(pids: Mapping[str, int]) -> None:
        try:
            write_running(settings.home, replace(running, parts=pids, ready=ready))
        except OSError as error:  # a full disk must not end what runs; the next change is told in full again
            log.error("the stack can't say what it is", home=str(settings.home), reason=str(error))

    supervisor = Supervisor(made, changed)
    supervisor.start()
    late = supervisor.wait_ready(READY_WITHIN)
    ready = True
    changed(supervisor.pids)
    say(replace(running, parts=supervisor.pids, ready=ready), late)
    supervisor.run()
    forget_running(settings.home)


def _installed(kinds: Sequence[str]) -> tuple[str, ...]:
    """Those of other packages that are here; the others only run in images of their own."""
    from agents.sdk.registry import find
    from agents.sdk.workspace import AgentError

    found = []
    for kind in kinds:
        if kind in RESIDENT:
            continue
        try:
            find([kind])
        except AgentError as error:
            log.warning("no resident agent", agent=kind, reason=str(error))
        else:
            found.append(kind)
    return tuple(found)


def _prepare(settings: Settings) -> None:
    """Migrations, once, before any part starts; and what the parts import, so that they share it."""
    from turnout.wiring import prepare

    prepare(settings)


def _together(settings: Settings, options: Options) -> tuple[list[Part], dict[str, str]]:
    import functions_framework  # noqa: F401  # imported here so that the forked parts share it
    import gunicorn.app.base
    import gunicorn.workers.gthread  # noqa: F401

    import turnout.dispatcher
    import turnout.serving
    import turnout.webhook  # noqa: F401

    listening = _listen(options.host, options.port)
    base = _base_url(*listening.getsockname()[:2])
    descriptor = listening.detach()
    urls = {name: f"{base}/{name}" for name in FUNCTIONS}
    looking = _listen(options.host, options.port + CONSOLE_ABOVE if options.port else 0)
    urls[CONSOLE] = _base_url(*looking.getsockname()[:2])
    looked_at = looking.detach()
    return [
        Part("functions", lambda ready: parts.run_functions(descriptor, ready), order=2, grace=20),
        _dispatcher(settings, urls, here=True),
        Part(CONSOLE, lambda ready: parts.run_console(looked_at, ready), order=0, grace=10),
        *(
            [Part("agents", _resident(options.agents, settings.member("agents")), order=0, grace=30)]
            if options.agents
            else []
        ),
    ], urls


def _dispatcher(settings: Settings, urls: Mapping[str, str], *, here: bool) -> Part:
    topics, member = subscriptions(settings.runtimes, settings.kinds), settings.member("dispatcher")
    return Part(
        "dispatcher",
        lambda ready: parts.run_dispatcher(urls, topics, ready, member=member, here=here),
        order=1,
        grace=20,
    )


def _separate(settings: Settings, options: Options) -> tuple[list[Part], dict[str, str]]:
    framework = (
        shutil.which("functions-framework", path=os.path.dirname(sys.executable)) or "functions-framework"
    )
    made: list[Part] = []
    urls: dict[str, str] = {}
    ports = {name: options.port + number for number, name in enumerate(FUNCTIONS)}
    ports[CONSOLE] = options.port + CONSOLE_ABOVE
    for name, port in ports.items():
        listening = _listen(options.host, port if options.port else 0)
        host, port = listening.getsockname()[:2]
        urls[name] = _base_url(host, port)
        argv = [framework, "--target", name, "--source", str(source_of(name))]
        argv += ["--host", host, "--port", str(port)]  # never another one, should the socket not be taken
        made.append(Part(name, _served_alone(argv, listening.detach(), urls[name]), order=2, grace=20))
    made.append(_dispatcher(settings, urls, here=False))
    for kind in options.agents:
        made.append(
            Part(f"agent-{kind}", _resident([kind], settings.member(f"agent-{kind}")), order=0, grace=30)
        )
    return made, urls


def _served_alone(argv: Sequence[str], listening: int, url: str) -> Callable[[Callable[[], None]], None]:
    """``listening``: the supervisor's own socket, handed over as systemd does it: the port stays ours while the part is
    started again, and who connects meanwhile waits instead of being refused.

    functions-framework can't say that it is ready: a watcher process of the part's own asks it. The watcher ends with
    its part: it holds the stack's lock, and nobody else would end it.
    Source: sd_listen_fds(3); gunicorn heeds it.
    """

    def body(ready: Callable[[], None]) -> None:
        part = os.getpid()
        if os.fork() == 0:
            ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            there = os.getppid() == part and parts.wait_http(f"{url}/healthz", READY_WITHIN)
            status = 0 if there else 1
            if status == 0:
                ready()
            os._exit(status)
        os.dup2(listening, LISTEN_FD)
        os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(part))
        os.execv(argv[0], list(argv))  # noqa: S606  # a list, no shell

    return body


def _resident(kinds: Sequence[str], member: str) -> Callable[[Callable[[], None]], None]:
    return lambda ready: parts.run_agents(kinds, member, ready)


def _listen(host: str, port: int) -> socket.socket:
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise PermanentError(
            f"{host}:{port} can't be listened on: {error.strerror}", "choose another --port"
        ) from error
    listening.listen(512)
    return listening


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _shown(settings: Settings) -> str:
    """The store's URL without a password."""
    scheme, _, rest = settings.store_url.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}"
