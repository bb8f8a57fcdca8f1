"""An attempt's log on its way to the gateway: on disk first, then piece by piece, each kept there once."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import structlog

from agents.sdk.remote_client import Gap, GatewayClient, pause_after
from turnout.core.errors import PermanentError, TransientError

PIECE = 48 * 1024  # bytes
GATHER = 0.05  # seconds that text waits for more to go with it
_log = structlog.get_logger()


class RemoteLog:
    """Thread-safe. ``file``: what is not sent yet, and what is; it outlives any absence of the gateway."""

    def __init__(self, client: GatewayClient, file: Path) -> None:
        self._client = client
        self._file = file.open("x+b", buffering=0)
        self._written = 0
        self._sent = 0
        self._sequence = 0
        self._ended = ""
        self._closed = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._work, name="remote-log", daemon=True)
        self._thread.start()

    def append(self, content: bytes) -> None:
        """Raises: TransientError where the disk takes nothing; PermanentError once the gateway takes no more."""
        with self._changed:
            if self._ended:
                raise PermanentError(self._ended)
            try:
                self._file.seek(self._written)
                rest = memoryview(content)
                while rest:
                    rest = rest[self._file.write(rest) or 0 :]
            except OSError as error:
                raise TransientError(f"the log can't be written: {error.strerror}") from error
            self._written += len(content)
            self._changed.notify_all()

    def flush(self, timeout: float) -> bool:
        """Wait until the gateway has all of it, or takes no more; False: it has not in that time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._sent >= self._written or bool(self._ended), timeout)

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._thread.join(5.0)
        self._file.close()

    def _work(self) -> None:
        tries = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._sent < self._written or self._closed)
                if self._closed:
                    return
            time.sleep(GATHER)
            try:
                self._send()
                tries = 0
            except TransientError as error:
                pause = pause_after(error, tries)
                tries += 1
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, pause)
            except (PermanentError, OSError) as error:
                _log.warning("the log is not sent from here on", reason=str(error))
                with self._changed:
                    self._ended = f"the gateway takes no more of the log: {error}"
                    self._changed.notify_all()
                    return

    def _send(self) -> None:
        """Raises: TransientError, PermanentError, OSError."""
        with self._changed:
            self._file.seek(self._sent)
            piece = _whole(self._file.read(PIECE) or b"")
            offset = self._sent
        said = {"sequence": self._sequence, "offset": offset, "text": piece.decode("utf-8", "replace")}
        try:
            self._client.post("logs", said)
        except Gap as gap:
            if gap.have > self._written:
                raise
            with self._changed:
                self._sent = gap.have
            return
        with self._changed:
            self._sent = offset + len(piece)
            self._sequence += 1
            self._changed.notify_all()


def _whole(piece: bytes) -> bytes:
    """Without the first bytes of a character whose rest is in the next piece."""
    for back in range(1, min(4, len(piece)) + 1):
        byte = piece[-back]
        if byte & 0xC0 == 0xC0:
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4
            return piece[:-back] if length > back and len(piece) > back else piece
        if byte < 0x80:
            break
    return piece
