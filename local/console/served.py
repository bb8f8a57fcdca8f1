"""The console of a home, on loopback, without the rest of the stack: to look at what is there."""

from __future__ import annotations

import os
import socket
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import uvicorn

from turnout.adapters.settings import read_settings
from turnout.console.app import create_app
from turnout.wiring import Wiring, prepare


class Served:
    """While its context is open. ``url``: without a slash at its end."""

    def __init__(self, home: Path) -> None:
        made = socket.create_server(("127.0.0.1", 0))
        self._socket = socket.socket(fileno=made.detach())  # knows that it is TCP: asyncio sets NODELAY then
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self.wiring = Wiring(
            read_settings(os.environ | {"TURNOUT_HOME": str(home), "TURNOUT_CONSOLE_URL": self.url})
        )
        prepare(self.wiring.settings)
        config = uvicorn.Config(
            create_app(self.wiring),
            log_config=None,
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def sign_in(self) -> str:
        """A link that signs whoever opens it in as the owner of the home, once."""
        return f"{self.url}/sign-in/link?token={self.wiring.identity.link_token()}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()
        self.wiring.store.close()
