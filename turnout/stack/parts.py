"""The parts of a stack, each as a function that runs until SIGTERM."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, assert_never

from turnout.logging import get_logger
from turnout.stack.layout import FUNCTIONS, source_of
from turnout.stack.supervisor import Ready

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from turnout.adapters.settings import Settings
    from turnout.core.posting import Poster

log = get_logger()

THREADS = 24
"""Of them 16 may stay with the connections that the dispatcher posts over."""
SWEEP_EVERY = 2.0
"""Seconds between two calls of the sweeper on one machine; in the cloud its scheduler calls each minute."""


# --- functions --------------------------------------------------------------------------------


def wsgi_app(names: Sequence[str] = FUNCTIONS) -> WSGIApplication:
    """Each function under its own path, as functions-framework serves it, and ``/healthz``."""
    from werkzeug.middleware.dispatcher import DispatcherMiddleware

    return DispatcherMiddleware(_root, {f"/{name}": _mounted(name) for name in names})


def function_of(name: str) -> Any:
    return getattr(import_module(f"functions.{name}.main"), name)


def _mounted(name: str) -> WSGIApplication:
    from turnout.serving import TAKES_EVENTS, served

    function = function_of(name)
    if getattr(function, TAKES_EVENTS, False):
        return served(function)
    from functions_framework import create_app

    return _rooted(create_app(name, str(source_of(name))))


def _rooted(app: WSGIApplication) -> WSGIApplication:
    """``/webhook`` is as good as ``/webhook/``: a redirect would lose a POST."""

    def answered(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["PATH_INFO"] = environ.get("PATH_INFO") or "/"
        return app(environ, start_response)

    return answered


def _root(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    if environ.get("PATH_INFO") in ("/healthz", "/"):
        start_response("200 OK", [("content-type", "text/plain")])
        return [b"ok\n"]
    start_response("404 Not Found", [("content-type", "text/plain")])
    return [
        b"functions are served under their names: " + ", ".join(f"/{n}" for n in FUNCTIONS).encode() + b"\n"
    ]


def run_functions(descriptor: int, ready: Ready, app: Callable[[], WSGIApplication] = wsgi_app) -> None:
    """Serve on a listening socket that is open already, with gunicorn's threads."""
    from gunicorn.app.base import BaseApplication

    from turnout.stack.patient_worker import PatientWorker

    class Served(BaseApplication):  # type: ignore[misc]  # gunicorn is not typed
        def load_config(self) -> None:
            settings: dict[str, Any] = {
                "bind": f"fd://{descriptor}",
                "workers": 1,
                "worker_class": PatientWorker,
                "threads": THREADS,
                "keepalive": 75,
                "timeout": 0,
                "graceful_timeout": 15,
                "loglevel": "warning",
                "control_socket_disable": True,
                "post_worker_init": lambda _worker: ready(),
            }
            for name, value in settings.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> WSGIApplication:
            return app()

    Served().run()


# --- console ----------------------------------------------------------------------------------


def run_console(descriptor: int, ready: Ready) -> None:
    """Serve the console on a listening socket that is open already. Nothing of it is loaded before somebody comes: an
    idle machine does not pay for what nobody looks at."""
    import select
    import socket

    ready()
    listening = socket.socket(fileno=descriptor)
    select.select([listening], [], [])
    import uvicorn

    from turnout.console.app import create_app
    from turnout.wiring import wiring

    config = uvicorn.Config(
        create_app(wiring()),
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    uvicorn.Server(config).run(sockets=[listening])


# --- dispatcher ---------------------------------------------------------------------------------


def run_dispatcher(
    urls: Mapping[str, str],
    subscriptions: Mapping[str, Sequence[str]],
    ready: Ready,
    *,
    member: str,
    port: int = 0,
    here: bool = False,
) -> None:
    """Topics to functions until SIGTERM, and the sweeper called now and then, where the settings have it so.

    ``member``: its name in the group, the same after a restart; empty where several of one name would run.
    ``port``: where its health is told (`turnout.stack.health`); 0: nowhere. ``here``: the functions are called in this
    process instead of being posted to.
    """
    from turnout.adapters.http_poster import HttpPoster
    from turnout.dispatcher import Dispatcher, Route
    from turnout.stack.health import told_at
    from turnout.wiring import wiring

    settings = wiring().settings
    shown = _shown(settings)
    routes = [Route(topic, urls[name]) for name, topics in subscriptions.items() for topic in topics]
    poster: Poster = HttpPoster(wiring().clock, lambda route: shown(route.url))
    if here:
        from turnout.stack.same_process import SameProcess

        poster = SameProcess({urls[name]: function_of(name) for name in subscriptions})
    dispatcher = Dispatcher(wiring().bus, "functions", routes, member=member, poster=poster)
    stopped = _on_stop(dispatcher.stop)
    with told_at(port, dispatcher.silent):
        timer = threading.Thread(
            target=_sweep, args=(urls.get("sweeper", ""), stopped, shown), name="sweep", daemon=True
        )
        if settings.dispatcher_sweeps:
            timer.start()
        ready()
        _until_broker(wiring().bus.ensure_topics, stopped)
        _until_broker(dispatcher.run, stopped)
        if settings.dispatcher_sweeps:
            timer.join(timeout=5)


def _shown(settings: Settings) -> Callable[[str], Mapping[str, str]]:
    """What the function at an address is shown, so that it lets us in."""
    from turnout.adapters.identity_token import identified

    token = settings.function_token.get_secret_value()
    always = {"authorization": f"Bearer {token}"} if token else {}
    match settings.function_identity:
        case "":
            return lambda _: always
        case "google":
            return lambda url: {**always, **identified(url)}
        case _:
            assert_never(settings.function_identity)


def _sweep(url: str, stopped: threading.Event, shown: Callable[[str], Mapping[str, str]]) -> None:
    import httpx

    from turnout.core.errors import TransientError

    with httpx.Client(timeout=60) as client:
        while not stopped.wait(SWEEP_EVERY):
            try:
                client.post(url, headers=shown(url)).raise_for_status()
            except (httpx.HTTPError, TransientError) as error:
                log.warning("sweeper did not answer", reason=str(error))


def _until_broker(run: Callable[[], None], stopped: threading.Event) -> None:
    """Run; where the broker is away, say so and try again until stopped."""
    from turnout.core.errors import TransientError

    while not stopped.is_set():
        try:
            run()
            return
        except TransientError as error:
            log.warning("waiting for the bus", reason=str(error))
            stopped.wait(1.0)


# --- agents -------------------------------------------------------------------------------------


def run_agents(kinds: Sequence[str], member: str, ready: Ready) -> None:
    """Resident agents of these kinds until SIGTERM."""
    from turnout.wiring import wiring

    agents = wiring().resident_agents(kinds, member)
    stopped = _on_stop(agents.stop)
    ready()
    _until_broker(agents.run, stopped)


def _on_stop(stop: Callable[[], None]) -> threading.Event:
    stopped = threading.Event()

    def _stop(_number: int, _frame: object) -> None:
        stopped.set()
        stop()

    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    return stopped


def wait_http(url: str, timeout: float) -> bool:
    """Whether something answers at ``url`` within ``timeout`` seconds."""
    import httpx

    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        try:
            if httpx.get(url, timeout=1).status_code < 500:
                return True
        except httpx.HTTPError:
            time.sleep(0.02)
    return False
