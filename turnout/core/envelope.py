"""The CloudEvents 1.0 envelope, and the record that carries it over the bus.

Kafka's binary content mode: each attribute is a header ``ce_<name>``, the data is the value.
HTTP's binary content mode: the same attributes as ``ce-<name>`` headers.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/kafka-protocol-binding.md
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from turnout.core.errors import InvalidEnvelope
from turnout.core.strict_json import read_json

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/json"
MAX_DATA_BYTES = 1_000_000
MAX_ATTRIBUTE = 1000
"""Characters of one context attribute that we read ourselves; ids are keys of tables."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_REQUIRED = ("id", "source", "type", "specversion")
_ATTRIBUTES = frozenset((*_REQUIRED, "time", "subject", "datacontenttype", "dataschema"))


@dataclass(frozen=True, slots=True)
class Record:
    """What travels over the bus: ``key`` decides the partition, so records of one key keep their order."""

    topic: str
    key: str
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


@dataclass(frozen=True, slots=True)
class Received:
    """A record with its place in the log. ``timestamp`` is in seconds since the epoch."""

    record: Record
    partition: int
    offset: int
    timestamp: float


@dataclass(frozen=True, slots=True)
class Envelope:
    """One message. ``id`` is unique per cause; consumers deduplicate by it."""

    id: str
    type: str
    source: str
    data: Mapping[str, Any]
    time: datetime | None = None
    subject: str | None = None
    extensions: Mapping[str, str] = field(default_factory=dict)

    def to_record(self, topic: str, key: str) -> Record:
        return Record(
            topic,
            key,
            encode_data(self.data),
            tuple((f"ce_{name}", value.encode()) for name, value in self.attributes().items())
            + (("content-type", CONTENT_TYPE.encode()),),
        )

    def attributes(self) -> dict[str, str]:
        """The context attributes as text, in a stable order."""
        found = {"specversion": SPEC_VERSION, "id": self.id, "type": self.type, "source": self.source}
        if self.time is not None:
            found["time"] = self.time.isoformat().replace("+00:00", "Z")
        if self.subject is not None:
            found["subject"] = self.subject
        return found | dict(self.extensions)


def encode_data(data: Mapping[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def open_record(record: Record) -> Envelope:
    """The envelope in a record of the bus.

    Raises: InvalidEnvelope, saying which attribute or which part of the data is wrong.
    """
    attributes: dict[str, str] = {}
    for name, raw in record.headers:
        if name.startswith("ce_"):
            try:
                attributes[name[3:]] = raw.decode()
            except UnicodeDecodeError as error:
                raise InvalidEnvelope(f"{name}: not UTF-8") from error
    return open_envelope(attributes, record.value)


def open_envelope(attributes: Mapping[str, str], body: bytes) -> Envelope:
    """The envelope with these context attributes (without any ``ce_`` prefix) and this JSON body.

    Raises: InvalidEnvelope.
    """
    for name in _REQUIRED:
        if not attributes.get(name):
            raise InvalidEnvelope(f"{name}: missing", "send a CloudEvents 1.0 message in binary mode")
    if attributes["specversion"] != SPEC_VERSION:
        raise InvalidEnvelope(
            f"specversion: got {attributes['specversion'][:80]!r}, expected {SPEC_VERSION!r}"
        )
    for name in (*_REQUIRED, "time", "subject"):
        _check(name, attributes.get(name, ""))
    if len(body) > MAX_DATA_BYTES:
        raise InvalidEnvelope(f"data: {len(body)} bytes, at most {MAX_DATA_BYTES} allowed")
    return Envelope(
        id=attributes["id"],
        type=attributes["type"],
        source=attributes["source"],
        data=_object(body),
        time=_time(attributes.get("time")),
        subject=attributes.get("subject"),
        extensions={k: v for k, v in attributes.items() if k not in _ATTRIBUTES},
    )


def _check(name: str, value: str) -> None:
    """Source: CloudEvents 1.0.2, "Type System": a String holds no control characters."""
    if len(value) > MAX_ATTRIBUTE:
        raise InvalidEnvelope(f"{name}: {len(value)} characters, at most {MAX_ATTRIBUTE} allowed")
    if _CONTROL.search(value):
        raise InvalidEnvelope(f"{name}: got {value[:80]!r} with a control character in it")


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = read_json(body)
    except ValueError as error:
        raise InvalidEnvelope(f"data: not JSON: {error}") from error
    if not isinstance(found, dict):
        raise InvalidEnvelope(f"data: got {type(found).__name__}, expected an object")
    return found


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidEnvelope(f"time: got {text[:80]!r}, expected RFC 3339") from error
    if found.tzinfo is None:
        raise InvalidEnvelope(f"time: got {text!r} without a time zone")
    try:
        found.astimezone(UTC)
    except OverflowError as error:
        raise InvalidEnvelope(f"time: got {text!r}, which is in no year of ours") from error
    return found
