from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnout.core.envelope import (
    CONTENT_TYPE,
    MAX_DATA_BYTES,
    Envelope,
    Record,
    encode_data,
    open_envelope,
    open_record,
)
from turnout.core.errors import InvalidEnvelope

ATTRIBUTES = {"specversion": "1.0", "id": "m1", "type": "turnout.run.requested", "source": "/turnout/webhook"}
NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789", min_size=1, max_size=20).filter(
    lambda name: name not in {*ATTRIBUTES, "time", "subject", "datacontenttype", "dataschema"}
)
TEXT = st.text(max_size=30)
LABELS = st.text(st.characters(codec="utf-8", categories=("L", "N", "P", "S", "Z")), max_size=30)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=8,
)
TIMES = st.datetimes(
    datetime(1970, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=45))]),
)
ENVELOPES = st.builds(
    Envelope,
    id=LABELS.filter(bool),
    type=LABELS.filter(bool),
    source=LABELS.filter(bool),
    data=st.dictionaries(TEXT, JSON, max_size=4),
    time=st.none() | TIMES,
    subject=st.none() | LABELS,
    extensions=st.dictionaries(NAMES, TEXT, max_size=3),
)


@given(ENVELOPES, TEXT)
def test_what_is_put_into_a_record_comes_out_of_it(envelope: Envelope, key: str) -> None:
    record = envelope.to_record("pipeline.events", key)
    assert (record.topic, record.key) == ("pipeline.events", key)
    assert open_record(record) == envelope


@given(ENVELOPES)
def test_the_same_envelope_makes_the_same_bytes(envelope: Envelope) -> None:
    assert envelope.to_record("t", "k") == open_record(envelope.to_record("t", "k")).to_record("t", "k")


@given(
    st.dictionaries(
        st.sampled_from([*ATTRIBUTES, "time", "subject", "traceparent"]), TEXT | st.sampled_from(["1.0"])
    ),
    st.binary(max_size=60) | JSON.map(lambda value: json.dumps(value).encode()),
)
def test_whatever_comes_is_an_envelope_or_an_invalid_one(attributes: dict[str, str], body: bytes) -> None:
    try:
        found = open_envelope(attributes, body)
    except InvalidEnvelope:
        return
    assert (found.id, found.data) == (attributes["id"], json.loads(body))


@given(
    st.lists(
        st.tuples(TEXT | st.sampled_from(["ce_id", "ce_type", "ce_specversion"]), st.binary()), max_size=6
    )
)
def test_whatever_headers_come_are_an_envelope_or_an_invalid_one(headers: list[tuple[str, bytes]]) -> None:
    with pytest.raises(InvalidEnvelope):  # a source is never among them
        open_record(Record("t", "k", b"{}", tuple(headers)))


def test_attributes_travel_as_kafkas_binding_says() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    envelope = Envelope("m1", "t", "/s", {"a": 1}, at, "r1", {"traceparent": "00-ab"})
    record = envelope.to_record("pipeline.events", "acme/shop")
    assert dict(record.headers) == {
        "ce_specversion": b"1.0",
        "ce_id": b"m1",
        "ce_type": b"t",
        "ce_source": b"/s",
        "ce_time": b"2026-01-02T03:04:05Z",
        "ce_subject": b"r1",
        "ce_traceparent": b"00-ab",
        "content-type": CONTENT_TYPE.encode(),
    }
    assert record.value == b'{"a":1}'


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("given_", [None, ""])
def test_a_required_attribute_that_is_missing_is_named(name: str, given_: str | None) -> None:
    attributes = {**ATTRIBUTES, name: given_} if given_ is not None else {**ATTRIBUTES}
    if given_ is None:
        del attributes[name]
    with pytest.raises(InvalidEnvelope, match=f"^{name}: missing"):
        open_envelope({key: value or "" for key, value in attributes.items()}, b"{}")


@pytest.mark.parametrize(
    ("changes", "body", "said"),
    [
        ({"specversion": "0.3"}, b"{}", "specversion: got '0.3', expected '1.0'"),
        ({"time": "yesterday"}, b"{}", "time: got 'yesterday', expected RFC 3339"),
        ({"time": "2026-01-02T03:04:05"}, b"{}", "time: got '2026-01-02T03:04:05' without a time zone"),
        ({}, b"", "data: not JSON: "),
        ({}, b"{", "data: not JSON: "),
        ({}, b"\xff\xfe\x00", "data: not JSON: "),
        ({}, b"[" * 200_000, "data: not JSON: "),
        ({}, b"[]", "data: got list, expected an object"),
        ({}, b"null", "data: got NoneType, expected an object"),
    ],
)
def test_what_is_wrong_is_said(changes: dict[str, str], body: bytes, said: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        open_envelope(ATTRIBUTES | changes, body)
    assert caught.value.message.startswith(said)


def test_a_header_that_is_no_text_is_named() -> None:
    with pytest.raises(InvalidEnvelope, match="ce_id: not UTF-8"):
        open_record(Record("t", "k", b"{}", (("ce_id", b"\xff"),)))


def sized(size: int) -> bytes:
    return b'{"a":"' + b"x" * (size - len(b'{"a":""}')) + b'"}'


def test_data_may_be_as_large_as_the_bound_and_no_larger() -> None:
    assert open_envelope(ATTRIBUTES, sized(MAX_DATA_BYTES)).data
    with pytest.raises(InvalidEnvelope, match="1000001 bytes, at most 1000000 allowed"):
        open_envelope(ATTRIBUTES, sized(MAX_DATA_BYTES + 1))


def test_headers_of_others_are_no_attributes() -> None:
    record = Envelope("m1", "t", "/s", {}).to_record("t", "k")
    with_more = Record(record.topic, record.key, record.value, (*record.headers, ("traceparent", b"00")))
    assert open_record(with_more).extensions == {}


@given(st.dictionaries(TEXT, JSON, max_size=4))
def test_data_is_written_without_spaces_and_with_its_own_letters(data: dict[str, Any]) -> None:
    assert json.loads(encode_data(data)) == data
    assert encode_data({"name": "Žižkov", "n": [1, 2]}) == '{"name":"Žižkov","n":[1,2]}'.encode()


def opened(body: bytes, **attributes: str) -> Envelope:
    return open_envelope({"id": "1", "source": "/s", "type": "t", "specversion": "1.0"} | attributes, body)


@pytest.mark.parametrize("name", ["id", "source", "type", "subject"])
@pytest.mark.parametrize("value", ["a\0b", "a\r\nx-evil: 1", "\x85", "x" * 1001])
def test_an_attribute_that_no_table_and_no_header_can_hold_is_refused(name: str, value: str) -> None:
    with pytest.raises(InvalidEnvelope, match=f"^{name}: "):
        opened(b"{}", **{name: value})


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"])
def test_a_time_that_no_clock_of_ours_ever_shows_is_refused(time: str) -> None:
    with pytest.raises(InvalidEnvelope, match=r"^time: .* no year of ours"):
        opened(b"{}", time=time)


@pytest.mark.parametrize(
    "body",
    [
        b'{"a":' * 300 + b"1" + b"}" * 300,
        b'{"a":1e400}',
        b'{"a":[{"b":-1E+999}]}',
        b'{"a":' + b"9" * 400 + b".0}",
        b'{"a":' + b"9" * 5_000 + b"}",
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        '{"a":1}'.encode("utf-16"),
    ],
)
def test_json_that_would_do_harm_further_on_is_refused_at_the_door(body: bytes) -> None:
    with pytest.raises(InvalidEnvelope, match=r"^data: not JSON: "):
        opened(body)


def test_large_numbers_that_are_numbers_are_taken() -> None:
    found = opened(b'{"a":1e308,"b":12345678901234567890123,"c":1e-999}').data
    assert found == {"a": 1e308, "b": 12345678901234567890123, "c": 0.0}
