"""How large a record may be, the same for every bus, so that moving to another one refuses nothing new."""

from __future__ import annotations

from turnout.core.envelope import Record
from turnout.core.errors import PermanentError
from turnout.core.topics import DEAD_LETTERS

BROKER_MAX_BYTES = 1_048_576
"""A batch of one record, with its framing. Source: Kafka's default ``message.max.bytes``."""
MAX_DEAD_LETTER_BYTES = BROKER_MAX_BYTES - 1_000
MAX_RECORD_BYTES = MAX_DEAD_LETTER_BYTES - 8_000
"""Key, value and headers; a dead letter needs room for the headers that say what happened."""


def record_size(record: Record) -> int:
    """Bytes of key, value and headers."""
    headers = sum(len(name.encode()) + len(value) for name, value in record.headers)
    return len(record.key.encode(errors="surrogateescape")) + len(record.value) + headers


def refuse_large(record: Record) -> None:
    """Raises: PermanentError for a record that no bus takes."""
    size = record_size(record)
    limit = MAX_DEAD_LETTER_BYTES if record.topic == DEAD_LETTERS else MAX_RECORD_BYTES
    if size > limit:
        raise PermanentError(
            f"a record for {record.topic} has {size} bytes, at most {limit} are taken",
            "put large content into the artifact store and send its key",
        )
