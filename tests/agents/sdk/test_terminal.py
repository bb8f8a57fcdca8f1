"""What is left of a tool's output for the terminals that it is read on."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.sdk.terminal import LONGEST, Plain, plain

PIECES = st.sampled_from([
    b"text", b"\xc3\xa9", b"\n", b"\r", b"\t", b"\x1b[31m", b"\x1b[0;1;38:2:1:2:3m", b"\x1b[2J", b"\x1b]0;title\x07",
    b"\x1b]52;c;ZXZpbA==\x1b\\", b"\x1bc", b"\x1b", b"\x9b", b"\xc2\x9b31m", b"\x07", b"\x00", b"\x1b[", b"\x1bP", b"m",
])  # fmt: skip
OBEYED = re.compile(rb"\x1b(?!\[[0-9;:]*m)|[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f]|\xc2[\x80-\x9f]")


@pytest.mark.parametrize(
    ("said", "left"),
    [
        (b"plain \xc3\xa9\ttext\r\n", b"plain \xc3\xa9\ttext\r\n"),
        (b"\x1b[31mred\x1b[0m \x1b[1;38;5;9mbright\x1b[m", b"\x1b[31mred\x1b[0m \x1b[1;38;5;9mbright\x1b[m"),
        (b"\x1b[2J\x1b[1;1Hgone\x1b[1A\x1b[2K", b"gone"),
        (b"\x1b]0;a title\x07after", b"after"),
        (b"\x1b]52;c;cm0gLXJmIH4K\x1b\\pasted", b"pasted"),
        (b"\x1b]8;;https://evil.example/\x1b\\link\x1b]8;;\x1b\\", b"link"),
        (b"\x1b[c\x1b[6n\x1b[>q answers into the input", b" answers into the input"),
        (b"\x1bP$q q\x1b\\\x1bc\x1b(0lines", b"lines"),
        (b"\xc2\x9b2Jc1\xc2\x9d0;t\x07", b"2Jc10;t"),
        (b"bell\x07 back\x08 null\x00 delete\x7f", b"bell back null delete"),
    ],
)
def test_text_and_colours_are_left(said: bytes, left: bytes) -> None:
    assert plain(said) == left


@given(st.lists(PIECES, max_size=20), st.lists(st.integers(0, 200), max_size=8))
def test_nothing_that_a_terminal_obeys_gets_through_wherever_the_stream_is_cut(
    pieces: list[bytes], cuts: list[int]
) -> None:
    stream = b"".join(pieces)
    places = sorted({0, *(min(cut, len(stream)) for cut in cuts), len(stream)})
    filtered = Plain()
    out = b"".join(filtered.feed(stream[a:b]) for a, b in pairwise(places)) + filtered.finish()
    assert not OBEYED.search(out), out


def test_a_sequence_that_does_not_end_holds_nothing_back_for_ever() -> None:
    filtered = Plain()
    out = b"".join(filtered.feed(b"\x1b]0;" if number == 0 else b"x" * 1000) for number in range(20))
    assert len(out) > 20 * 1000 - 2 * LONGEST
