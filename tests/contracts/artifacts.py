"""Whoever keeps artifacts keeps them whole, and a log's pieces in their order and once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from typing import Protocol

import pytest

from turnout.core.artifact_keys import attempt_key
from turnout.core.errors import NotFound, PermanentError
from turnout.core.ports import Uploads
from turnout.core.ports.artifacts import Reading


class Kept(Uploads, Reading, Protocol):
    """All that is asked of a store of artifacts."""


class ArtifactsContract:
    writers = 4
    """How many write at once where a test is about that; each writes ``pieces``."""
    pieces = 20

    @pytest.fixture
    def artifacts(self) -> Kept:
        raise NotImplementedError("the subclass gives the artifacts")

    def test_what_is_put_can_be_got_whole_or_from_a_place_on(self, artifacts: Kept) -> None:
        key = "runs/r/lint/1/report.bin"
        stored = artifacts.put(key, b"\x00abc")
        assert (stored.key, stored.size) == (key, 4)
        assert stored.sha256 == hashlib.sha256(b"\x00abc").hexdigest()
        assert artifacts.get(key) == b"\x00abc"
        assert artifacts.get(key, 3) == b"c"
        assert artifacts.get(key, 9) == b""
        assert artifacts.part(key, 1, 2) == b"ab"
        assert artifacts.part(key, 1, 0) == b""
        assert artifacts.part(key, 2, 100) == b"bc"
        artifacts.put(key, b"new")
        assert artifacts.get(key) == b"new"
        artifacts.put(key, b"")
        assert (artifacts.get(key), artifacts.part(key, 0, 5), artifacts.size(key)) == (b"", b"", 0)

    def test_a_missing_key_is_said(self, artifacts: Kept) -> None:
        artifacts.put("a/b", b"")
        for key in ("nothing", "a", "a/b/c"):
            with pytest.raises(NotFound, match=key):
                artifacts.get(key)
            with pytest.raises(NotFound, match=key):
                artifacts.part(key, 0, 0)
            assert artifacts.size(key) == 0

    def test_keys_are_listed_by_prefix_in_order(self, artifacts: Kept) -> None:
        for key in ("runs/1/b", "runs/1/a/x", "runs/10/c", "other"):
            artifacts.put(key, b"")
        artifacts.append("runs/1/log.txt", b"one ")
        artifacts.append("runs/1/log.txt", b"two")
        mine = ["runs/1/a/x", "runs/1/b", "runs/1/log.txt"]
        assert list(artifacts.list("runs/1/")) == mine
        assert list(artifacts.list("runs/1")) == [*mine, "runs/10/c"]
        assert list(artifacts.list("")) == ["other", *mine, "runs/10/c"]
        assert list(artifacts.list("runs/1/log.txt")) == ["runs/1/log.txt"]
        assert list(artifacts.list("none/")) == []

    def test_what_is_below_a_folder_is_counted_logs_too(self, artifacts: Kept) -> None:
        artifacts.put("runs/1/a/x", b"12345")
        artifacts.append("runs/1/log.txt", b"one ")
        artifacts.append("runs/1/log.txt", b"two")
        artifacts.put("runs/10/x", b"not counted")
        assert artifacts.usage("runs/1/") == (2, 12)
        assert artifacts.usage("runs/2/") == (0, 0)
        assert (artifacts.size("runs/1/a/x"), artifacts.size("runs/1/log.txt")) == (5, 7)

    @pytest.mark.parametrize(
        "key", ["", "/etc/passwd", "../x", "a/../b", "a//b", "./a", "a\0b", ".incoming/x", "é" * 200]
    )
    def test_a_key_that_leads_elsewhere_is_refused(self, artifacts: Kept, key: str) -> None:
        digest = hashlib.sha256(b"").hexdigest()
        asked: list[Callable[[], object]] = [
            lambda: artifacts.put(key, b""),
            lambda: artifacts.get(key),
            lambda: artifacts.append(key, b"x"),
            lambda: artifacts.append_at(key, 0, b"x"),
            lambda: artifacts.size(key),
            lambda: artifacts.put_stream(key, [], size=0, sha256=digest, media_type="text/plain"),
        ]
        for each in asked:
            with pytest.raises(PermanentError, match="no artifact key"):
                each()

    def test_nothing_outside_is_listed(self, artifacts: Kept) -> None:
        for ask in (artifacts.list, artifacts.usage):
            with pytest.raises(PermanentError, match="no artifact key"):
                ask("../")

    def test_keys_of_attempts_stay_below_their_task_whatever_a_matrix_holds(self, artifacts: Kept) -> None:
        key = attempt_key("r", "unit[os=../../x,python=3.11]", 2)
        assert key == "runs/r/unit[os=..%2F..%2Fx,python=3.11]/2/log.txt"
        artifacts.append(key, b"fine")
        assert (artifacts.get(key), list(artifacts.list("runs/r/"))) == (b"fine", [key])

    # --- what comes in parts ----------------------------------------------------------------------

    @pytest.mark.parametrize("size", [0, 9, 300_000])
    def test_a_stream_that_is_what_was_announced_is_kept(self, artifacts: Kept, size: int) -> None:
        content = bytes(range(256)) * (size // 256) + bytes(size % 256)
        chunks = [content[at : at + 70_000] for at in range(0, size, 70_000)]
        digest = hashlib.sha256(content).hexdigest()
        kept = artifacts.put_stream("a/x", chunks, size=size, sha256=digest.upper(), media_type="text/plain")
        assert (kept.size, kept.sha256) == (size, digest)
        assert artifacts.get("a/x") == content

    @pytest.mark.parametrize("chunks", [[b"whol"], [b"whole", b"!"], [b"other"], []])
    def test_a_stream_that_is_not_leaves_what_was_there(self, artifacts: Kept, chunks: list[bytes]) -> None:
        artifacts.put("a/x", b"before")
        digest = hashlib.sha256(b"whole").hexdigest()
        for key in ("a/x", "a/y"):
            with pytest.raises(PermanentError, match="not what was announced"):
                artifacts.put_stream(key, chunks, size=5, sha256=digest, media_type="text/plain")
        assert list(artifacts.list("")) == ["a/x"]
        assert artifacts.get("a/x") == b"before"

    def test_a_stream_that_breaks_off_leaves_nothing(self, artifacts: Kept) -> None:
        def broken() -> Iterator[bytes]:
            yield b"whol"
            raise ConnectionResetError("gone")

        digest = hashlib.sha256(b"whole").hexdigest()
        with pytest.raises(Exception, match="gone"):
            artifacts.put_stream("a/x", broken(), size=5, sha256=digest, media_type="text/plain")
        assert list(artifacts.list("")) == []

    # --- logs -------------------------------------------------------------------------------------

    def test_a_log_can_be_read_from_any_byte_to_any(self, artifacts: Kept) -> None:
        text = b""
        for number in range(12):
            artifacts.append("a/log.txt", piece := f"{number} of them\n".encode())
            text += piece
        assert artifacts.get("a/log.txt") == text
        for start in (0, 1, 10, 11, 57, len(text) - 1, len(text), len(text) + 9):
            assert artifacts.get("a/log.txt", start) == text[start:]
            for most in (0, 1, 11, 40, 1000):
                assert artifacts.part("a/log.txt", start, most) == text[start : start + most]

    def test_a_piece_at_its_place_is_added_once_however_often_it_comes(self, artifacts: Kept) -> None:
        assert artifacts.append_at("log.txt", 0, b"one ") == 4
        assert artifacts.append_at("log.txt", 0, b"one ") == 4
        assert artifacts.append_at("log.txt", 2, b"e two") == 7, "what is there already is left as it is"
        assert artifacts.append_at("log.txt", 9, b"too far") == 7
        assert artifacts.append_at("log.txt", 0, b"") == 7
        assert artifacts.get("log.txt") == b"one two"

    def test_appended_parts_of_many_threads_are_each_whole(self, artifacts: Kept) -> None:
        def write(letter: str) -> None:
            for _ in range(self.pieces):
                artifacts.append("log.txt", f"{letter * 999}\n".encode())

        together(write, "abcdefgh"[: self.writers])
        lines = artifacts.get("log.txt").splitlines()
        assert len(lines) == self.writers * self.pieces
        assert all(len(set(line)) == 1 and len(line) == 999 for line in lines)

    def test_of_many_who_add_the_same_piece_at_once_one_does(self, artifacts: Kept) -> None:
        pieces = [f"{number} of the pieces\n".encode() * 50 for number in range(self.pieces)]

        def write(_: str) -> None:
            at = 0
            for each in pieces:
                assert artifacts.append_at("a/log.txt", at, each) >= at + len(each)
                at += len(each)

        together(write, "abcdefgh"[: self.writers])
        assert artifacts.get("a/log.txt") == b"".join(pieces)


def together(write: Callable[[str], None], names: str) -> None:
    failed: list[BaseException] = []

    def run(name: str) -> None:
        try:
            write(name)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=run, args=(name,)) for name in names]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert failed == []
