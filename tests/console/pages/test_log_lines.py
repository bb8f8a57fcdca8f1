from __future__ import annotations

from collections.abc import Callable

import pytest

from turnout.console.pages.log_lines import BLOCK, LineIndex, Window, search

Read = Callable[[int, int], bytes]


def reader(content: bytes) -> Read:
    return lambda start, most: content[start : start + most]


def window(content: bytes, first: int, most: int = 3) -> Window:
    return LineIndex().window(len(content), reader(content), first, most)


def said(found: Window) -> list[tuple[int, str]]:
    return [(line.number, line.content.decode()) for line in found.lines]


def test_a_window_begins_at_any_line() -> None:
    content = b"".join(b"line %d\n" % number for number in range(1, 11))
    assert said(window(content, 4)) == [(4, "line 4"), (5, "line 5"), (6, "line 6")]
    assert said(window(content, 0)) == [(8, "line 8"), (9, "line 9"), (10, "line 10")]
    assert said(window(content, 10)) == [(10, "line 10")]
    assert said(window(content, 11)) == []
    assert window(content, 1).total == 10


def test_a_line_without_its_end_is_open() -> None:
    found = window(b"one\ntw", 0)
    assert (said(found), found.total, found.open) == ([(1, "one"), (2, "tw")], 2, True)
    assert not window(b"one\n", 0).open
    assert window(b"", 0).total == 0


@pytest.mark.parametrize("edge", [-1, 0, 1])
def test_lines_over_the_edges_of_blocks_are_whole(edge: int) -> None:
    first = b"a" * (BLOCK - 1 + edge) + b"\n"
    content = first + b"b" * BLOCK + b"\nlast\n"
    lines = content.decode().splitlines()
    for number in (1, 2, 3):
        assert said(window(content, number, 1)) == [(number, lines[number - 1])]
    assert window(content, 1).total == 3
    ended = content[: content.index(b"\n") + 1]
    assert window(ended, 0).total == 1


def test_a_log_that_grows_is_not_gone_through_again() -> None:
    content = b"0123456789abcde\n" * (BLOCK // 16 * 3)
    index, read = LineIndex(), []

    def reading(start: int, most: int) -> bytes:
        read.append((start, most))
        return content[start : start + most]

    index.window(len(content), reading, 0, 5)
    read.clear()
    content += b"more\n" * 10
    found = index.window(len(content), reading, 0, 2)
    assert said(found) == [(BLOCK // 16 * 3 + 9, "more"), (BLOCK // 16 * 3 + 10, "more")]
    assert sum(most for _, most in read) < 2 * BLOCK + 100


def test_every_window_of_a_large_log_is_made_of_little() -> None:
    content = b"".join(b"%06d some words of a log's line\n" % number for number in range(1, 60_001))
    index, bytes_read = LineIndex(), 0

    def reading(start: int, most: int) -> bytes:
        nonlocal bytes_read
        part = content[start : start + most]
        bytes_read += len(part)
        return part

    index.grow(len(content), reading)
    for first in (1, 7_777, 30_000, 59_990):
        bytes_read = 0
        found = index.window(len(content), reading, first, 10)
        assert [line.content[:6] for line in found.lines] == [
            b"%06d" % each for each in range(first, first + 10)
        ]
        assert bytes_read <= 3 * BLOCK


def test_a_search_looks_through_colours_and_cases() -> None:
    content = b"one\n\x1b[31mFa\x1b[0miled\x1b[0m here\nfine\nfailed again failed\nlast failed"
    found, count = search(len(content), reader(content), "FAILED", 2)
    assert [(line.number, line.content) for line in found] == [
        (2, b"Failed here"),
        (4, b"failed again failed"),
    ]
    assert count == 3
    assert search(len(content), reader(content), "", 2) == ((), 0)


def test_a_search_counts_lines_over_the_parts_that_it_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnout.console.pages.log_lines.READ", 10)
    content = b"aa\nbb hit\ncc\ndd\nee hit\nff"
    found, count = search(len(content), reader(content), "hit", 9)
    assert [(line.number, line.content) for line in found] == [(2, b"bb hit"), (5, b"ee hit")]
    assert count == 2
