"""What a tool may say to the terminal of whoever reads its log: text and colours.

Anything else that terminals obey is left out: a log is read on terminals that set titles, fill clipboards, answer into
the reader's input, or hide what was said. Source: ECMA-48, §5.4 and §8.3; xterm's "Control Sequences".
"""

from __future__ import annotations

import re

LONGEST = 4096  # bytes of a sequence that has not ended; then it is none

_COLOURS = rb"\x1b\[[0-9;:]*m"
_SEQUENCE = re.compile(
    rb"(?P<kept>" + _COLOURS + rb")"
    rb"|\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: cursor, erasing, modes, …
    rb"|\x1b[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)"  # OSC, DCS, …: titles, clipboards, links
    rb"|\x1b[ -/]*[0-~]"
    rb"|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]"  # of the C0 controls, tab, line feed and carriage return stay
    rb"|\xc2[\x80-\x9f]"  # C1: the same as ESC and a letter
)
_BEGUN = re.compile(rb"(?:\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b]*\x1b?|[ -/]*)|\xc2)\Z")


class Plain:
    """Feed it a stream of bytes piece by piece, in UTF-8; what comes out, a terminal shows and colours, no more."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, piece: bytes) -> bytes:
        text = self._held + piece
        begun = _BEGUN.search(text, max(0, len(text) - LONGEST))
        cut = begun.start() if begun else len(text)
        self._held = text[cut:]
        return plain(text[:cut])

    def finish(self) -> bytes:
        """The stream has ended: a sequence that was begun is none."""
        left, self._held = self._held, b""
        return plain(left)


def plain(text: bytes) -> bytes:
    return _SEQUENCE.sub(lambda found: found["kept"] or b"", text)
