"""Dead letters: records that were given up, with what happened to them in headers, kept as they were otherwise.

A dead letter is never taken out of its topic; once its record has gone back to where it came from, or somebody has
decided that it never will, a mark with its place says so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from turnout.core.envelope import Received, Record
from turnout.core.errors import InvalidEnvelope
from turnout.core.topics import DEAD_LETTERS

PREFIX = "dlq_"
REDRIVEN = PREFIX + "redriven"
DISCARDED = PREFIX + "discarded"
MAX_REASON = 1000
"""Characters; a function may answer with a page of HTML."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """``id`` is its place among the dead letters. ``status``: the HTTP status, 0 without an answer.

    ``record`` is what was given up, for its original topic; ``partition`` and ``offset`` are where it was there.
    ``whole``: False when the value was too large to be kept here as well.
    """

    id: str
    record: Record
    partition: int
    offset: int
    group: str
    reason: str
    status: int
    tries: int
    at: datetime
    whole: bool = True


def dead_letter(
    received: Received, *, group: str, reason: str, status: int, tries: int, at: datetime, whole: bool = True
) -> Record:
    """The record for the dead letters. ``whole``: False leaves the value out."""
    said = {
        "reason": reason[:MAX_REASON],
        "topic": received.record.topic,
        "partition": str(received.partition),
        "offset": str(received.offset),
        "group": group,
        "status": str(status),
        "attempts": str(tries),
        "time": at.isoformat(),
    }
    if not whole:
        said["omitted"] = f"{len(received.record.value)} bytes"
    kept = _without_ours(received.record)
    headers = tuple((PREFIX + name, text.encode(errors="replace")) for name, text in said.items())
    return Record(DEAD_LETTERS, received.record.key, received.record.value if whole else b"", kept + headers)


def open_dead_letter(received: Received) -> DeadLetter:
    """Raises: InvalidEnvelope for a record that is no dead letter."""
    said = {
        name.removeprefix(PREFIX): value.decode(errors="replace")
        for name, value in received.record.headers
        if name.startswith(PREFIX)
    }
    try:
        return DeadLetter(
            id=_place(received),
            record=Record(
                said["topic"], received.record.key, received.record.value, _without_ours(received.record)
            ),
            partition=int(said["partition"]),
            offset=int(said["offset"]),
            group=said["group"],
            reason=said["reason"],
            status=int(said["status"]),
            tries=int(said["attempts"]),
            at=datetime.fromisoformat(said["time"]),
            whole="omitted" not in said,
        )
    except (KeyError, ValueError) as error:
        raise InvalidEnvelope(f"not a dead letter: {PREFIX}{error}") from error


def redriven_mark(letter: DeadLetter) -> Record:
    """Says that the letter's record is back on its topic."""
    return Record(DEAD_LETTERS, letter.record.key, b"", ((REDRIVEN, letter.id.encode()),))


def discarded_mark(letter: DeadLetter) -> Record:
    """Says that the letter's record is given up for good."""
    return Record(DEAD_LETTERS, letter.record.key, b"", ((DISCARDED, letter.id.encode()),))


def open_letters(records: Iterable[Received]) -> tuple[DeadLetter, ...]:
    """The dead letters in ``records`` that no mark follows, oldest first; what is neither is left out."""
    letters: dict[str, DeadLetter] = {}
    marked = set()
    for received in records:
        headers = dict(received.record.headers)
        mark = headers.get(REDRIVEN, headers.get(DISCARDED))
        if mark is not None:
            marked.add(mark.decode(errors="replace"))
            continue
        try:
            letter = open_dead_letter(received)
        except InvalidEnvelope:
            continue
        letters[letter.id] = letter
    return tuple(letter for letter in letters.values() if letter.id not in marked)


def _place(received: Received) -> str:
    return f"{received.partition}:{received.offset}"


def _without_ours(record: Record) -> tuple[tuple[str, bytes], ...]:
    return tuple((name, value) for name, value in record.headers if not name.startswith(PREFIX))
