"""Writing a bbolt file in one go: nested buckets of bytes, as Trivy's database is one.

Source: go.etcd.io/bbolt, internal/common (page.go, meta.go, bucket.go): two meta pages, a free list, one leaf page a
bucket, which overflows into the pages after it.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import TypeAlias

Bucket: TypeAlias = "Mapping[str, Bucket | bytes]"

PAGE = 4096
_MAGIC, _VERSION = 0xED0CDAED, 2
_LEAF, _META, _FREE = 0x02, 0x04, 0x10
_HEAD = struct.Struct("<QHHI")  # id, flags, count, overflow
_ELEMENT = struct.Struct("<IIII")  # flags (1: a bucket), distance to the key, sizes of key and value
_META_BODY = struct.Struct(
    "<IIIIQQQQQ"
)  # magic, version, page, flags, root, sequence, free list, pages, transaction


def database(content: Bucket) -> bytes:
    """The whole file. Raises: ValueError for a bucket of more than 65535 entries."""
    pages: list[bytes] = []
    root = _bucket(content, pages)
    high = 3 + sum(len(each) for each in pages) // PAGE
    free = _padded(_HEAD.pack(2, _FREE, 0, 0))
    return b"".join([_meta(0, root, high), _meta(1, root, high), free, *pages])


def _meta(number: int, root: int, high: int) -> bytes:
    body = _META_BODY.pack(_MAGIC, _VERSION, PAGE, 0, root, 0, 2, high, number)
    return _padded(_HEAD.pack(number, _META, 0, 0) + body + struct.pack("<Q", _fnv64a(body)))


def _bucket(content: Bucket, pages: list[bytes]) -> int:
    """Adds the bucket's pages, after those of the buckets in it; returns the number of its first one."""
    entries: list[tuple[int, bytes, bytes]] = []
    for name, value in content.items():
        if isinstance(value, bytes):
            entries.append((0, name.encode(), value))
        else:
            entries.append((1, name.encode(), struct.pack("<QQ", _bucket(value, pages), 0)))
    entries.sort(key=lambda entry: entry[1])
    if len(entries) > 0xFFFF:
        raise ValueError(f"a bucket of {len(entries)} entries does not fit into one leaf page")
    distance = _ELEMENT.size * len(entries)
    elements, data = [], []
    for flags, key, value in entries:
        elements.append(_ELEMENT.pack(flags, distance, len(key), len(value)))
        data += [key, value]
        distance += len(key) + len(value) - _ELEMENT.size
    number = 3 + sum(len(each) for each in pages) // PAGE
    body = b"".join([*elements, *data])
    overflow = (_HEAD.size + len(body) - 1) // PAGE
    pages.append(_padded(_HEAD.pack(number, _LEAF, len(entries), overflow) + body))
    return number


def _padded(page: bytes) -> bytes:
    return page + bytes(-len(page) % PAGE)


def _fnv64a(content: bytes) -> int:
    value = 0xCBF29CE484222325
    for byte in content:
        value = (value ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return value
