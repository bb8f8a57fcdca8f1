from __future__ import annotations

import threading
import time

from hypothesis import given
from hypothesis import strategies as st

from agents.sdk.logs import CHUNK, KEPT_END, LogStream
from agents.sdk.masking import Masker
from agents.sdk.terminal import plain


def stream(limit: int = 1_000_000, secret: str = "") -> tuple[LogStream, list[str]]:
    chunks: list[str] = []
    return LogStream(Masker({"S": secret} if secret else {}), chunks.append, limit), chunks


@given(st.lists(st.binary(max_size=2000)))
def test_whatever_is_written_comes_out_in_order_as_text_in_small_chunks(pieces: list[bytes]) -> None:
    log, chunks = stream()
    for each in pieces:
        log.write(each)
    log.finish()
    assert "".join(chunks) == plain(b"".join(pieces)).decode("utf-8", "replace")
    assert all(0 < len(each.encode()) <= CHUNK for each in chunks)


def test_a_character_that_is_cut_in_two_is_whole_again() -> None:
    log, chunks = stream()
    for byte in "grün ✓ 🚆".encode():
        log.write(bytes([byte]))
    log.finish()
    assert "".join(chunks) == "grün ✓ 🚆"


def test_colours_are_kept() -> None:
    log, chunks = stream()
    log.write(b"\x1b[31mred\x1b[0m\n")
    log.finish()
    assert "".join(chunks) == "\x1b[31mred\x1b[0m\n"


def test_the_agents_own_lines_are_marked_and_stand_alone() -> None:
    log, chunks = stream(secret="hunter2")
    log.write(b"50% done")
    log.line("two\nlines with hunter2")
    log.write(b"next\n")
    log.finish()
    assert "".join(chunks) == "50% done\n▸ two\n▸ lines with ***\nnext\n"


def test_the_first_words_go_out_soon_and_the_rest_when_it_is_time() -> None:
    woken = threading.Event()
    chunks: list[str] = []
    log = LogStream(Masker({}), chunks.append, 1000, woken.set)
    log.write(b"first")
    assert woken.is_set()
    due = log.due()
    assert due is not None
    assert due <= time.monotonic() + 0.05
    log.flush()
    assert chunks == ["first"]
    log.write(b" second")
    log.write(b" third")
    assert chunks == ["first"]
    assert woken.is_set()
    due = log.due()
    assert due is not None
    assert due <= time.monotonic() + 0.2
    log.flush()
    assert chunks == ["first", " second third"]
    assert log.due() is None


def test_of_a_huge_log_the_beginning_and_the_very_end_are_kept() -> None:
    log, chunks = stream(limit=100_000)
    for number in range(100_000):
        log.write(f"line {number}\n".encode())
    log.finish()
    text = "".join(chunks)
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith("line 99999\n")
    assert "▸ the log is longer than 100000 characters" in text
    left_out = sum(len(f"line {number}\n") for number in range(100_000)) - 100_000 - KEPT_END
    assert f"… {left_out} characters of the log are not kept …" in text
    assert len(text) < 100_000 + KEPT_END + 200


def test_a_secret_is_masked_across_writes_and_what_was_held_back_comes_at_the_end() -> None:
    log, chunks = stream(secret="hunter2")
    log.write(b"password: hunt")
    log.write(b"er2; hunter")
    log.finish()
    assert "".join(chunks) == "password: ***; hunter"
