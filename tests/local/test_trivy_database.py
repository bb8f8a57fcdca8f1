"""The bytes of the small database. That Trivy reads it is shown in tests/agents/security/test_trivy_real.py."""

from __future__ import annotations

import json
import struct
from datetime import UTC, datetime
from pathlib import Path

import pytest

from local.trivy.bolt import PAGE, Bucket, database
from local.trivy.database import DEMO, main, write

AT = datetime(2026, 3, 31, 12, tzinfo=UTC)


def read(content: bytes, number: int) -> dict[str, object]:
    """A bucket, read back by the positions that its pages give."""
    at = number * PAGE
    own, flags, count, overflow = struct.unpack_from("<QHHI", content, at)
    assert (own, flags) == (number, 0x02)
    found: dict[str, object] = {}
    for index in range(count):
        element = at + 16 + 16 * index
        bucket, distance, key_size, value_size = struct.unpack_from("<IIII", content, element)
        start = element + distance
        assert start + key_size + value_size <= at + (overflow + 1) * PAGE
        key = content[start : start + key_size].decode()
        value = content[start + key_size : start + key_size + value_size]
        found[key] = read(content, struct.unpack("<QQ", value)[0]) if bucket else value
    assert list(found) == sorted(found), "looked up by bisection"
    return found


@pytest.mark.parametrize(
    "content",
    [{}, {"a": b"1"}, {"b": {"z": b"2", "a": {"deep": b""}}, "a": b"x" * 10_000, "c": {}}],
)
def test_what_is_written_is_where_the_pages_say(content: Bucket) -> None:
    file = database(content)
    assert len(file) % PAGE == 0
    for meta in (0, 1):
        magic, version, size, _, root, _, free, pages, transaction = struct.unpack_from(
            "<IIIIQQQQQ", file, meta * PAGE + 16
        )
        assert (magic, version, size, free, transaction) == (0xED0CDAED, 2, PAGE, 2, meta)
        assert pages * PAGE == len(file)
        assert read(file, root) == content


def test_a_bucket_that_would_need_several_leaves_is_refused() -> None:
    with pytest.raises(ValueError, match="65536 entries"):
        database({str(number): b"" for number in range(65536)})


def test_the_database_says_when_it_was_made_and_knows_what_it_was_given(tmp_path: Path) -> None:
    assert write(tmp_path, AT) == tmp_path
    said = json.loads((tmp_path / "db/metadata.json").read_text())
    assert (said["Version"], said["UpdatedAt"]) == (2, "2026-03-31T12:00:00Z")
    content = (tmp_path / "db/trivy.db").read_bytes()
    for word in (b"pip::GitHub Security Advisory Pip", b"urllib3", b"CVE-2021-33503"):
        assert word in content


def test_the_command_says_what_the_database_knows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([str(tmp_path / "here")])
    assert capsys.readouterr().out.strip().endswith(f"knows {DEMO[0].id}")
    assert (tmp_path / "here/db/trivy.db").is_file()
