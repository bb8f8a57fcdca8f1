"""A dead letter keeps its record, says what happened, and is closed by a mark."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from turnout.core.dead_letters import (
    dead_letter,
    discarded_mark,
    open_dead_letter,
    open_letters,
    redriven_mark,
)
from turnout.core.envelope import Received, Record
from turnout.core.errors import InvalidEnvelope
from turnout.core.topics import DEAD_LETTERS

AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
RECORD = Record("agent.results", "run-1", b"\x00value", (("ce_id", b"1"), ("ce_id", b"2")))


def buried(
    offset: int = 5, record: Record = RECORD, reason: str = "answered 422: no", whole: bool = True
) -> Record:
    return dead_letter(
        Received(record, 3, offset, 0.0),
        group="functions",
        reason=reason,
        status=422,
        tries=2,
        at=AT,
        whole=whole,
    )


def lying(record: Record, offset: int = 0) -> Received:
    return Received(record, 0, offset, 0.0)


def test_a_dead_letter_keeps_key_value_and_headers_and_says_what_happened() -> None:
    record = buried()
    assert record.topic == DEAD_LETTERS
    assert (record.key, record.value) == (RECORD.key, RECORD.value)
    assert record.headers[:2] == RECORD.headers
    assert dict(record.headers[2:]) == {
        "dlq_reason": b"answered 422: no",
        "dlq_topic": b"agent.results",
        "dlq_partition": b"3",
        "dlq_offset": b"5",
        "dlq_group": b"functions",
        "dlq_status": b"422",
        "dlq_attempts": b"2",
        "dlq_time": b"2026-03-01T12:00:00+00:00",
    }


def test_what_was_buried_comes_back_as_it_was() -> None:
    letter = open_dead_letter(lying(buried(), offset=9))
    assert letter.record == RECORD
    assert (letter.id, letter.partition, letter.offset, letter.group) == ("0:9", 3, 5, "functions")
    assert (letter.reason, letter.status, letter.tries, letter.at) == ("answered 422: no", 422, 2, AT)
    assert letter.whole


def test_a_record_that_dies_again_tells_of_its_last_death_only() -> None:
    again = buried(offset=6, record=open_dead_letter(lying(buried())).record, reason="second")
    assert [value for name, value in again.headers if name == "dlq_reason"] == [b"second"]
    assert open_dead_letter(lying(again)).record == RECORD


def test_a_value_that_was_left_out_is_said_to_be() -> None:
    record = buried(whole=False)
    assert record.value == b""
    assert dict(record.headers)["dlq_omitted"] == b"6 bytes"
    assert not open_dead_letter(lying(record)).whole


def test_a_long_reason_is_cut() -> None:
    assert len(dict(buried(reason="x" * 10_000).headers)["dlq_reason"]) == 1000


def test_a_letter_is_open_until_a_mark_follows() -> None:
    one, two = lying(buried(offset=1), 0), lying(buried(offset=2), 1)
    first, second = open_letters([one, two])
    assert (first.offset, second.offset) == (1, 2)
    mark = lying(redriven_mark(first), 2)
    assert open_letters([one, two, mark]) == (second,)


def test_a_letter_that_somebody_has_given_up_is_open_no_more() -> None:
    one, two = lying(buried(offset=1), 0), lying(buried(offset=2), 1)
    first, second = open_letters([one, two])
    assert (first.offset, second.offset) == (1, 2)
    mark = lying(discarded_mark(first), 2)
    assert open_letters([one, two, mark]) == (second,)


def test_a_record_that_is_no_dead_letter_is_named_or_passed_over() -> None:
    with pytest.raises(InvalidEnvelope, match="dlq_"):
        open_dead_letter(lying(RECORD))
    assert open_letters([lying(RECORD)]) == ()
