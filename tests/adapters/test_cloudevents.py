"""Records become the HTTP requests that Knative's KafkaSource would send, and envelopes again at the function."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as some

from turnout.adapters.cloudevents import envelope_of, from_http, to_http
from turnout.core.envelope import Envelope, Received, Record
from turnout.core.errors import InvalidEnvelope

ENVELOPE = Envelope(
    id="6d0f",
    type="turnout.run.requested",
    source="turnout/webhook",
    data={"branch": "main", "title": "Grüße"},
    time=datetime(2026, 3, 1, 12, 30, 5, tzinfo=UTC),
    subject="octo/shop",
    extensions={"traceparent": "00-ab-cd-01"},
)


def received(record: Record) -> Received:
    return Received(record, partition=3, offset=41, timestamp=1772368205.25)


def test_a_cloud_event_keeps_its_attributes_its_data_and_its_key() -> None:
    record = ENVELOPE.to_record("pipeline.events", "octo/shop")
    headers, body = to_http(received(record))
    assert body == record.value
    assert headers == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "6d0f",
        "ce-type": "turnout.run.requested",
        "ce-source": "turnout/webhook",
        "ce-time": "2026-03-01T12:30:05Z",
        "ce-subject": "octo/shop",
        "ce-traceparent": "00-ab-cd-01",
        "ce-partitionkey": "octo/shop",
    }


def test_a_function_gets_the_envelope_that_was_published() -> None:
    headers, body = to_http(received(ENVELOPE.to_record("pipeline.events", "octo/shop")))
    envelope = from_http(headers, body)
    assert envelope.data == ENVELOPE.data
    assert (envelope.id, envelope.type, envelope.time) == (ENVELOPE.id, ENVELOPE.type, ENVELOPE.time)
    assert envelope.extensions == {"traceparent": "00-ab-cd-01", "partitionkey": "octo/shop"}


@pytest.mark.parametrize("key", ["naïve branch", "100%", 'say "so"', "日本", "a\r\nx-evil: 1"])
def test_a_key_of_any_characters_travels_in_a_header(key: str) -> None:
    headers, body = to_http(received(ENVELOPE.to_record("agent.results", key)))
    assert headers["ce-partitionkey"].isascii()
    assert not set(headers["ce-partitionkey"]) & set(' "\r\n')
    assert from_http(headers, body).extensions["partitionkey"] == key


def test_an_event_without_a_time_stays_without() -> None:
    plain = Envelope(id="1", type="t", source="s", data={})
    headers, _ = to_http(received(plain.to_record("agent.results", "k")))
    assert "ce-time" not in headers


def test_the_same_record_makes_the_same_request() -> None:
    for record in (ENVELOPE.to_record("agent.results", "k"), Record("agent.results", "k", b"raw")):
        assert to_http(received(record)) == to_http(received(record))


def test_a_record_that_is_no_cloud_event_is_wrapped_as_knative_does() -> None:
    record = Record(
        "orders", "k1", b"\x00\x01", (("X-Trace.Id", b"abc"), ("content-type", b"application/octet-stream"))
    )
    headers, body = to_http(received(record), source="/apis/v1/namespaces/ci/kafkasources/dispatch")
    assert body == b"\x00\x01"
    assert headers == {
        "content-type": "application/octet-stream",
        "ce-specversion": "1.0",
        "ce-id": "partition:3/offset:41",
        "ce-type": "dev.knative.kafka.event",
        "ce-source": "/apis/v1/namespaces/ci/kafkasources/dispatch#orders",
        "ce-subject": "partition:3#41",
        "ce-time": "2026-03-01T12:30:05.250000Z",
        "ce-key": "k1",
        "ce-kafkaheaderxtraceid": "abc",
    }


@pytest.mark.parametrize(
    "headers",
    [
        (("ce_specversion", b"1.0"), ("ce_id", b"1")),
        (("ce_specversion", b"9.9"), ("ce_id", b"1"), ("ce_source", b"s"), ("ce_type", b"t")),
        (("ce_specversion", b"1.0"), ("ce_id", b"\xff"), ("ce_source", b"s"), ("ce_type", b"t")),
        (("content-type", b"application/cloudevents+json"),),
    ],
)
def test_a_broken_cloud_event_is_wrapped_too(headers: tuple[tuple[str, bytes], ...]) -> None:
    sent, body = to_http(received(Record("orders", "", b"{", headers)))
    assert sent["ce-type"] == "dev.knative.kafka.event"
    assert "ce-key" not in sent
    assert body == b"{"


def test_a_structured_cloud_event_is_sent_in_binary_mode() -> None:
    content = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "data": {"a": 1}, "colour": "red"}
    headers = (("content-type", b"application/cloudevents+json; charset=utf-8"),)
    sent, body = to_http(received(Record("orders", "k", json.dumps(content).encode(), headers)))
    assert json.loads(body) == {"a": 1}
    assert sent == {
        "content-type": "application/json",
        "ce-specversion": "1.0",
        "ce-id": "1",
        "ce-source": "s",
        "ce-type": "t",
        "ce-colour": "red",
        "ce-partitionkey": "k",
    }


def made(record: Record) -> Envelope | str:
    """What a function is posted, or why it refuses that."""
    try:
        return from_http(*to_http(received(record)))
    except InvalidEnvelope as error:
        return str(error)


def found(record: Record) -> Envelope | str:
    try:
        return envelope_of(received(record))
    except InvalidEnvelope as error:
        return str(error)


NAMES = some.sampled_from(
    [
        "ce_specversion",
        "ce_id",
        "ce_type",
        "ce_source",
        "ce_time",
        "ce_subject",
        "ce_a-b",
        "CE_Id",
        "content-type",
        "x",
    ]
)
VALUES = some.sampled_from(
    [
        b"1.0",
        b"",
        b"a",
        b"Gr\xc3\xbc\xc3\x9fe",
        b"\xff",
        b"a b%",
        b"2026-03-01T12:30:05Z",
        b"soon",
        b"a\nb",
        b"0.3",
    ]
)
BODIES = some.sampled_from([b"{}", b'{"a": 1}', b"[]", b"", b"{", b"\xff", b'{"id": "1", "data": {}}'])
WHOLE = (("ce_specversion", b"1.0"), ("ce_id", b"1"), ("ce_type", b"t"), ("ce_source", b"s"))


@given(
    key=some.sampled_from(["", "k", "na\u00efve", "\udcff", "a\nb"]),
    body=BODIES,
    whole=some.booleans(),
    headers=some.lists(some.tuples(NAMES, VALUES), max_size=4),
    ours=some.booleans(),
)
def test_a_function_that_is_called_gets_what_it_would_have_been_posted(
    key: str, body: bytes, whole: bool, headers: list[tuple[str, bytes]], ours: bool
) -> None:
    end = (("content-type", b"application/json"),) if ours else ()
    record = Record("t", key, body, (*(WHOLE if whole else ()), *headers, *end))
    assert found(record) == made(record)


@given(time=VALUES, subject=VALUES, id=VALUES, key=some.sampled_from(["", "k", "\udcff"]))
def test_so_does_one_of_a_record_of_ours(time: bytes, subject: bytes, id: bytes, key: str) -> None:
    headers = list(ENVELOPE.to_record("t", key).headers)
    given = {"ce_time": time, "ce_subject": subject, "ce_id": id}
    record = Record("t", key, b"{}", tuple((name, given.get(name, value)) for name, value in headers))
    assert found(record) == made(record)


CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "s", "ce-type": "t"}
STRUCTURED = {"content-type": "application/cloudevents+json; charset=utf-8"}


@pytest.mark.parametrize("body", [b"", b"[1, 2]", b'"text"', b"\xff\xfe", b"7", b"null"])
def test_data_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidEnvelope, match="data"):
        from_http(CE, body)


def test_a_missing_attribute_is_named() -> None:
    with pytest.raises(InvalidEnvelope, match="id: missing"):
        from_http(CE | {"ce-id": ""}, b"{}")


def test_a_function_takes_an_event_in_structured_mode_too() -> None:
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "t", "weight": 7, "data": {"a": 1}}
    packed = {**event, "data_base64": "eyJhIjoxfQ=="}
    del packed["data"]
    for content in (event, packed):
        opened = from_http(STRUCTURED, json.dumps(content).encode())
        assert (opened.id, opened.data, opened.extensions) == ("1", {"a": 1}, {"weight": "7"})


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"specversion": "1.0"}', b"\xff", b"[" * 100_000])
def test_an_event_in_structured_mode_that_is_none_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidEnvelope):
        from_http(STRUCTURED, content)


DEEP = b"[" * 5_000


@pytest.mark.parametrize(
    "value",
    [
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + DEEP,
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data_base64":"a"}',
        b'{"specversion":"1.0","id":"1","source":"s","type":"t","data":' + b"9" * 5_000 + b"}",
        b'{"specversion":"9","id":"1","source":"s","type":"t"}',
    ],
)
def test_a_hostile_structured_event_is_wrapped_and_stops_nobody(value: bytes) -> None:
    headers = (("content-type", b"application/cloudevents+json"),)
    sent, body = to_http(received(Record("orders", "k", value, headers)))
    assert (sent["ce-type"], body) == ("dev.knative.kafka.event", value)


@pytest.mark.parametrize("timestamp", [-1e18, 1e18, 9.2e15])
def test_a_record_from_a_year_that_is_none_is_wrapped_as_one_from_the_epoch(timestamp: float) -> None:
    sent, _ = to_http(Received(Record("orders", "k", b"raw"), 0, 0, timestamp))
    assert sent["ce-time"] == "1970-01-01T00:00:00Z"
