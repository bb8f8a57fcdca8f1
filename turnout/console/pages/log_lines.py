"""A log by its lines: which bytes they are, without reading it whole each time.

For each block of `BLOCK` bytes it is kept how many lines end before it; a log only grows, so what is known stays true.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BLOCK = 1 << 18
READ = 1 << 23
"""Bytes of one read while a log is gone through."""
MOST_READ = 1 << 22
"""Bytes that one window is made of at most: a longer line is cut."""
_COLOUR = re.compile(rb"\x1b\[[0-9;:]*m")
Read = Callable[[int, int], bytes]
"""Bytes from a place on, at most so many; empty: there are no more."""


@dataclass(frozen=True, slots=True)
class Line:
    """``number`` counts from 1."""

    number: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Window:
    """``lines`` in a row; ``total``: of the log. ``open``: the last line has no end yet."""

    lines: tuple[Line, ...]
    total: int
    open: bool

    @property
    def first(self) -> int:
        return self.lines[0].number if self.lines else 1

    @property
    def last(self) -> int:
        return self.lines[-1].number if self.lines else 0


@dataclass
class LineIndex:
    """``before``: lines that end before each block; ``size``: bytes gone through, whole blocks."""

    before: list[int] = field(default_factory=lambda: [0])

    @property
    def size(self) -> int:
        return (len(self.before) - 1) * BLOCK

    def grow(self, size: int, read: Read) -> None:
        """Up to ``size`` bytes, which the log has now."""
        while self.size + BLOCK <= size:
            wanted = min(READ, (size - self.size) // BLOCK * BLOCK)
            content = read(self.size, wanted)
            for at in range(0, len(content) - BLOCK + 1, BLOCK):
                self.before.append(self.before[-1] + content.count(b"\n", at, at + BLOCK))
            if len(content) < BLOCK:
                return

    def window(self, size: int, read: Read, first: int, most: int) -> Window:
        """At most ``most`` lines from ``first`` on; from the last ones where ``first`` is 0 or negative."""
        self.grow(size, read)
        rest = read(self.size, size - self.size)
        complete = self.before[-1] + rest.count(b"\n")
        ends_open = (bool(rest) and not rest.endswith(b"\n")) or (not rest and self._torn(read))
        total = complete + ends_open
        first = max(1, total - most + 1) if first < 1 else first
        if first > total:
            return Window((), total, ends_open)
        lines = tuple(self._lines(size, read, first, min(most, total - first + 1)))
        return Window(lines, total, ends_open and bool(lines) and lines[-1].number == total)

    def _torn(self, read: Read) -> bool:
        return self.size > 0 and read(self.size - 1, 1) != b"\n"

    def _lines(self, size: int, read: Read, first: int, most: int) -> Iterator[Line]:
        block = max(0, bisect_left(self.before, first - 1) - 1) if first > 1 else 0
        number, at = self.before[block] + 1, block * BLOCK
        content, end = b"", min(size, at + MOST_READ + BLOCK)
        begin = 0
        while True:
            stop = content.find(b"\n", begin)
            if stop < 0:
                more = read(at, min(BLOCK, end - at)) if at < end else b""
                if not more:
                    if begin < len(content) and number >= first:
                        yield Line(number, content[begin:])
                    return
                content, begin = content[begin:] + more, 0
                at += len(more)
                continue
            if number >= first:
                yield Line(number, content[begin:stop])
                if number == first + most - 1:
                    return
            number, begin = number + 1, stop + 1


def search(size: int, read: Read, wanted: str, most: int) -> tuple[tuple[Line, ...], int]:
    """The first ``most`` lines that have ``wanted`` in them, whatever its case and the colours; and how many have."""
    needle = wanted.encode().lower()
    found: list[Line] = []
    count, number, at, carried = 0, 1, 0, b""
    while at < size and needle:
        content = read(at, READ)
        if not content:
            break
        at += len(content)
        whole, _, rest = (carried + content).rpartition(b"\n") if at < size else (carried + content, b"", b"")
        said = _COLOUR.sub(b"", whole) if b"\x1b" in whole else whole
        text = said.lower()
        seen, begin = 0, 0
        while (hit := text.find(needle, begin)) >= 0:
            begun = text.rfind(b"\n", 0, hit) + 1
            stop = text.find(b"\n", hit)
            stop = len(text) if stop < 0 else stop
            count += 1
            if len(found) < most:
                number += text.count(b"\n", seen, begun)
                seen = begun
                found.append(Line(number, said[begun:stop]))
            begin = stop + 1
        number += text.count(b"\n", seen) + (1 if at < size else 0)
        carried = rest
    return tuple(found), count
