"""A door to a registry that falls shut in the middle of a push."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_PIECE = 65536


class BreakingDoor:
    """Passes everything on to ``port`` until a body of an image is sent; from then on it cuts every connection."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.broken = threading.Event()
        self._closed = threading.Event()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._listening.getsockname()[1]}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._closed.is_set():
            try:
                coming, _ = self._listening.accept()
            except OSError:
                return
            if self.broken.is_set():
                coming.close()
                continue
            going = socket.create_connection(("127.0.0.1", self._port))
            threading.Thread(target=self._pass, args=(coming, going, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(going, coming, False), daemon=True).start()

    def _pass(self, one: socket.socket, other: socket.socket, watched: bool) -> None:
        with suppress(OSError):
            while piece := one.recv(_PIECE):
                if watched and b"PATCH /v2/" in piece:
                    self.broken.set()
                if self.broken.is_set():
                    break
                other.sendall(piece)
        for each in (one, other):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
