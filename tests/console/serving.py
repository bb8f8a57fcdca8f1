"""A console on loopback, as a browser or another machine would reach it."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.waiting import wait_until
from turnout.console.app import create_app
from turnout.wiring import Wiring


@contextmanager
def serving(wiring: Wiring) -> Iterator[str]:
    """Its address."""
    made = socket.create_server(("127.0.0.1", 0))
    listening = socket.socket(fileno=made.detach())  # it knows that it is TCP then: asyncio sets NODELAY
    config = uvicorn.Config(create_app(wiring), log_config=None, access_log=False, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    try:
        wait_until(lambda: server.started)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listening.close()
