"""What comes over the network: deliveries, envelopes by HTTP and by the bus, messages, dead letters, the channel."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import urlsplit

from agents.sdk.channel import Lines
from tests.test_orchestration import FakeClock, FakeProducer
from turnout.adapters.cloudevents import from_http, to_http
from turnout.adapters.git_command import address as git_address
from turnout.adapters.github_payload import read_payload
from turnout.adapters.limits import refuse_large
from turnout.adapters.memory_store import MemoryStore
from turnout.core import dead_letters
from turnout.core import messages as m
from turnout.core.change import Change
from turnout.core.config_triggers import DEFAULT_TRIGGERS
from turnout.core.envelope import Envelope, Received, Record, open_record
from turnout.core.errors import InvalidEnvelope
from turnout.core.rules import triggered
from turnout.webhook import Webhook, sign

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECRET = b"between us"


def split(content: bytes) -> tuple[list[tuple[str, bytes]], bytes]:
    """Header lines ``name: value`` up to an empty line, then the body."""
    above, _, body = content.partition(b"\n\n")
    headers = []
    for line in above.split(b"\n"):
        name, colon, value = line.partition(b":")
        if colon:
            headers.append((name.decode("utf-8", "replace").strip(), value.strip()))
    return headers, body


def received(content: bytes) -> Received:
    """A record as anybody with a broker's password could write one; its time and key come from its headers."""
    headers, body = split(content)
    said = dict(headers)
    try:
        timestamp = float(said.get("timestamp", b"0"))
    except ValueError:
        timestamp = 0.0
    key = said.get("key", b"k").decode("utf-8", "surrogateescape")
    return Received(Record("pipeline.events", key, body, tuple(headers)), 0, 7, timestamp)


def envelope(content: bytes) -> None:
    """The dispatcher's way: what is on a topic becomes a request; then what an agent or the function makes of it."""
    each = received(content)
    headers, body = to_http(each)
    for name, value in headers.items():
        assert (name + value).isascii(), (name, value)
        assert value.isprintable(), (name, value)
    assert to_http(each) == (headers, body), "the same record makes the same request"
    try:
        opened = open_record(each.record)
    except InvalidEnvelope:
        opened = None
    through = from_http(headers, body)
    if opened is not None:
        _goes_round(opened)
    _parsed(through)


def http_event(content: bytes) -> None:
    """A function's way: any headers, any body."""
    headers, body = split(content)
    _parsed(from_http({name: value.decode("latin-1") for name, value in headers}, body))


def message(content: bytes) -> None:
    """The first line is the type, the rest the data."""
    kind, _, body = content.partition(b"\n")
    headers = (("ce_id", b"m1"), ("ce_source", b"/s"), ("ce_specversion", b"1.0"), ("ce_type", kind))
    _parsed(open_record(Record("t", "k", body, headers)))


def _parsed(opened: Envelope) -> None:
    parsed = m.parse(opened)
    again = m.wrap(parsed, id=opened.id, source=opened.source, at=NOW)
    record = again.to_record("t", "k")
    assert m.parse(open_record(record)) == parsed
    if isinstance(parsed, m.RunRequested):
        triggered(DEFAULT_TRIGGERS, parsed.change).reason.encode()


def _goes_round(opened: Envelope) -> None:
    again = open_record(opened.to_record("t", "k"))
    assert (again.id, again.type, again.data) == (opened.id, opened.type, opened.data)


def dead_letter(content: bytes) -> None:
    each = received(content)
    dead_letters.open_letters([each])
    letter = dead_letters.dead_letter(
        each, group="g", reason=content.decode("latin-1"), status=422, tries=1, at=NOW
    )
    opened = dead_letters.open_dead_letter(Received(letter, 0, 1, 0.0))
    assert opened.record.value == each.record.value
    dead_letters.open_dead_letter(each)


def delivery(content: bytes) -> None:
    """The first line is the event, the rest the payload: what is read must make a message that a bus takes."""
    event, _, body = content.partition(b"\n")
    found = read_payload(event.decode("latin-1"), body)
    if isinstance(found, Change):
        request = m.RunRequested(trigger="t", change=found, delivery="d", requested_by=found.author)
        record = m.wrap(request, id="t", source="/s", at=NOW).to_record("pipeline.events", found.repository)
        refuse_large(record)
        assert m.parse(open_record(record)) == request
        triggered(DEFAULT_TRIGGERS, found).reason.encode()
    else:
        found.model_dump_json().encode()


def webhook(content: bytes) -> None:
    """Headers and a body; a signature is made where the headers leave it out, so that what is behind it is reached."""
    headers, body = split(content)
    named: Mapping[str, str] = {name: value.decode("latin-1") for name, value in headers}
    lower = {name.lower() for name in named}
    if "x-hub-signature-256" not in lower:
        named = {**named, "X-Hub-Signature-256": sign(SECRET, body)}
    store = MemoryStore()
    hook = Webhook(store, FakeProducer(), FakeClock(NOW), (SECRET,), read_payload)
    answer = hook.receive(named, body)
    assert 200 <= answer.status < 500, answer
    said = json.dumps(answer.body).encode()
    assert len(said) < 8192, len(said)
    if answer.status < 300:
        assert hook.receive(named, body).status == 200, "a redelivery is known"


def address(content: bytes) -> None:
    """A remote as an operator, or a payload, names it."""
    found = git_address(content.decode("utf-8", "replace").replace("\ufffd", "\ud800"))
    assert not found.url.startswith("-")
    if found.url.startswith(("http://", "https://")):
        parts = urlsplit(found.url)
        assert not parts.username, "git is told no credential in an address"
        assert not parts.password
    found.url.encode()


def channel(content: bytes) -> None:
    """The first byte says how large the pieces are in which it arrives."""
    lines = Lines()
    size = max(1, content[0] if content else 1)
    for at in range(1, len(content), size):
        lines.feed(content[at : at + size])
