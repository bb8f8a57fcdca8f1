"""Artifacts in a bucket that is in memory: what no store's own server can be brought to do when a test wants it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.contracts.artifacts import ArtifactsContract
from turnout.adapters.artifacts_objects import ObjectArtifacts
from turnout.core.errors import PermanentError, TransientError
from turnout.core.ports import UploadUrl


class MemoryBucket:
    """``before_make``: called once, just before an object is made: what another process does then."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[bytes, str]] = {}
        self.asked_of: list[int] = []
        self.before_make: Callable[[], object] | None = None
        self.loses_an_answer = False

    def put(self, name: str, content: bytes, media_type: str) -> None:
        self.kept[name] = (content, "")

    def make(self, name: str, content: bytes, mark: str) -> bool:
        if (meanwhile := self.before_make) is not None:
            self.before_make = None
            meanwhile()
        made = self.kept.setdefault(name, value := (content, mark)) is value
        if self.loses_an_answer:  # as a client that tries again after its first try has arrived
            self.loses_an_answer = False
            return False
        return made

    def mark(self, name: str) -> str:
        return self.kept.get(name, (b"", ""))[1]

    def put_stream(self, name: str, chunks: Iterable[bytes], media_type: str) -> None:
        self.put(name, b"".join(chunks), media_type)

    def upload_url(self, name: str, *, size: int, sha256: str, media_type: str) -> UploadUrl | None:
        return UploadUrl(f"https://bucket/{name}", {"Content-Type": media_type})

    def read(self, name: str, start: int, most: int) -> bytes | None:
        if name not in self.kept:
            return None
        return self.kept[name][0][start : start + most if most >= 0 else None]

    def size(self, name: str) -> int | None:
        return len(self.kept[name][0]) if name in self.kept else None

    def names(self, prefix: str, *, after: str = "", page: int = 1000) -> Iterator[tuple[str, int]]:
        for name in sorted(self.kept):
            if name.startswith(prefix) and name > after:
                self.asked_of.append(page)
                yield name, len(self.kept[name][0])


class TestObjectArtifacts(ArtifactsContract):
    @pytest.fixture
    def artifacts(self) -> ObjectArtifacts:
        return ObjectArtifacts(MemoryBucket(), "turnout/prod")


@pytest.fixture
def bucket() -> MemoryBucket:
    return MemoryBucket()


@pytest.fixture
def artifacts(bucket: MemoryBucket) -> ObjectArtifacts:
    return ObjectArtifacts(bucket)


def test_who_comes_second_adds_what_is_missing_after_the_first(
    bucket: MemoryBucket, artifacts: ObjectArtifacts
) -> None:
    artifacts.append("log.txt", b"one ")
    bucket.before_make = lambda: artifacts.append_at("log.txt", 4, b"two ")
    assert artifacts.append_at("log.txt", 4, b"two three") == 13
    bucket.before_make = lambda: artifacts.append("log.txt", b" four")
    artifacts.append("log.txt", b" five")
    assert artifacts.get("log.txt") == b"one two three four five"


def test_a_piece_whose_answer_was_lost_is_not_added_again(
    bucket: MemoryBucket, artifacts: ObjectArtifacts
) -> None:
    artifacts.append("log.txt", b"same ")
    bucket.loses_an_answer = True
    artifacts.append("log.txt", b"same ")
    assert artifacts.get("log.txt") == b"same same "
    bucket.loses_an_answer = True
    assert artifacts.append_at("log.txt", 10, b"same") == 14
    assert artifacts.get("log.txt") == b"same same same"


def test_somebody_who_never_gets_his_turn_tries_again_later() -> None:
    class Busy(MemoryBucket):
        def make(self, name: str, content: bytes, mark: str) -> bool:
            return False

    artifacts = ObjectArtifacts(Busy())
    with pytest.raises(TransientError, match="too many write"):
        artifacts.append("log.txt", b"x")
    with pytest.raises(TransientError, match="too many write"):
        artifacts.append_at("log.txt", 0, b"x")


def test_the_end_of_a_long_log_is_found_by_its_newest_piece_alone(
    bucket: MemoryBucket, artifacts: ObjectArtifacts
) -> None:
    for number in range(300):
        artifacts.append("log.txt", f"{number:03d}\n".encode())
    bucket.asked_of.clear()
    assert artifacts.size("log.txt") == 1200
    assert artifacts.append_at("log.txt", 1200, b"end\n") == 1204
    assert bucket.asked_of == [1, 1]
    bucket.asked_of.clear()
    assert artifacts.part("log.txt", 398, 8) == b"9\n100\n10"
    assert len(bucket.asked_of) == 3, "only what is wanted is listed"


def test_logs_below_another_log_are_others(artifacts: ObjectArtifacts) -> None:
    artifacts.append("a", b"outer")
    artifacts.append("a/1", b"inner, longer")
    assert (artifacts.get("a"), artifacts.get("a/1")) == (b"outer", b"inner, longer")
    assert (artifacts.size("a"), list(artifacts.list(""))) == (5, ["a", "a/1"])


def test_every_name_has_the_prefix_and_an_address_is_of_the_same_object(bucket: MemoryBucket) -> None:
    artifacts = ObjectArtifacts(bucket, "turnout/prod")
    artifacts.put("a/x", b"1")
    artifacts.append("a/log.txt", b"2")
    assert sorted(bucket.kept) == ["turnout/prod/files/a/x", "turnout/prod/logs/a/log.txt/999999999999999"]
    to = artifacts.upload_url("a/x", size=1, sha256="00" * 32, media_type="text/plain")
    assert to is not None
    assert to.url == "https://bucket/turnout/prod/files/a/x"
    with pytest.raises(PermanentError, match="no artifact key"):
        artifacts.upload_url("../x", size=1, sha256="00" * 32, media_type="text/plain")


def test_a_key_that_no_store_takes_is_refused(artifacts: ObjectArtifacts) -> None:
    with pytest.raises(PermanentError, match="too long"):
        artifacts.put("/".join(["a" * 200] * 5), b"")
