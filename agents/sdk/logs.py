"""An attempt's log on its way out: masked, decoded, cut into chunks, bounded.

Colours are kept, what else terminals obey is left out; what is no UTF-8 is replaced. The first words after a silence go
out when they are `SOON` old, so that an attempt of a moment has one chunk; after that a chunk goes out when it is full
or `PATIENCE` old.
Of a log longer than the limit, the beginning and the very end are kept, and what is between is said.
"""

from __future__ import annotations

import codecs
import threading
import time
from collections.abc import Callable

from agents.sdk.masking import Masker
from agents.sdk.terminal import Plain, plain

CHUNK = 16 * 1024  # bytes of UTF-8
SOON, PATIENCE = 0.05, 0.2  # seconds
KEPT_END = 64 * 1024  # characters
PREFIX = "▸ "


class LogStream:
    """Thread-safe. ``emit`` takes each chunk; ``wake`` is called when one waits that nobody has been told of."""

    def __init__(
        self, masker: Masker, emit: Callable[[str], None], limit: int, wake: Callable[[], None] = lambda: None
    ) -> None:
        self._plain = Plain()
        self._masker = masker
        self._emit = emit
        self._wake = wake
        self._limit = limit
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._lock = threading.RLock()
        self._waiting: list[str] = []
        self._size = 0
        self._since = 0.0
        self._flushed = 0.0
        self._kept = 0
        self._end: list[str] = []
        self._end_size = 0
        self._left_out = 0
        self._line_open = False

    def write(self, output: bytes) -> None:
        """Output of a tool."""
        with self._lock:
            self._take(self._decoder.decode(self._masker.feed(self._plain.feed(output))))

    def line(self, text: str) -> None:
        """A line of the agent's own, marked as such; of several lines, each."""
        with self._lock:
            start = "\n" if self._line_open else ""
            text = plain(text.encode("utf-8", "surrogateescape")).decode("utf-8", "replace")
            body = "".join(f"{PREFIX}{each}\n" for each in text.rstrip("\n").split("\n"))
            self._take(start + self._masker.text(body))

    def hide(self, secret: str) -> None:
        """Mask this too, from now on."""
        with self._lock:
            self._masker.hide(secret)

    def due(self) -> float | None:
        """When the waiting chunk is old enough to go, by `time.monotonic`; None: nothing waits."""
        with self._lock:
            if not self._waiting:
                return None
            return self._since + (SOON if self._since - self._flushed >= PATIENCE else PATIENCE)

    def flush(self) -> None:
        with self._lock:
            if self._waiting:
                text = "".join(self._waiting)
                self._waiting, self._size = [], 0
                self._flushed = time.monotonic()
                for chunk in _cut(text):
                    self._emit(chunk)

    def finish(self) -> None:
        """The attempt has ended: nothing is held back any more."""
        with self._lock:
            rest = self._masker.feed(self._plain.finish()) + self._masker.finish()
            self._take(self._decoder.decode(rest, final=True))
            if self._left_out:
                end = "".join(self._end)[-KEPT_END:]
                between = self._left_out - len(end)
                self._queue(
                    f"\n{PREFIX}… {between} characters of the log are not kept …\n" if between > 0 else ""
                )
                self._queue(end)
                self._end, self._left_out = [], 0
            self.flush()

    def _take(self, text: str) -> None:
        if not text:
            return
        self._line_open = not text.endswith("\n")
        room = self._limit - self._kept
        if room > 0:
            self._queue(text[:room])
            self._kept += len(text[:room])
            text = text[room:]
            if text:
                self._queue(
                    f"\n{PREFIX}the log is longer than {self._limit} characters; only its end follows\n"
                )
        if text:
            self._left_out += len(text)
            self._end.append(text)
            self._end_size += len(text)
            if self._end_size > 4 * KEPT_END:
                self._end = ["".join(self._end)[-KEPT_END:]]
                self._end_size = KEPT_END

    def _queue(self, text: str) -> None:
        if not text:
            return
        first = not self._waiting
        self._waiting.append(text)
        self._size += len(text.encode())
        if first:
            self._since = time.monotonic()
        if self._size >= CHUNK:
            self.flush()
        elif first:
            self._wake()


def _cut(text: str) -> list[str]:
    """Pieces of at most `CHUNK` bytes, cut between characters."""
    raw = text.encode()
    pieces = []
    at = 0
    while at < len(raw):
        end = min(at + CHUNK, len(raw))
        while end < len(raw) and raw[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(raw[at:end].decode())
        at = end
    return pieces
