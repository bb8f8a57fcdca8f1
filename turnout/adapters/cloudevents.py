"""Records as CloudEvents over HTTP, as Knative's KafkaSource sends them, and CloudEvents as our envelopes.

Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
and https://knative.dev/docs/eventing/sources/kafka-source (records that are not CloudEvents).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from cloudevents import exceptions, kafka
from cloudevents.http import CloudEvent

from turnout.core.envelope import (
    CONTENT_TYPE,
    MAX_DATA_BYTES,
    SPEC_VERSION,
    Envelope,
    Received,
    Record,
    open_envelope,
)
from turnout.core.errors import InvalidEnvelope
from turnout.core.strict_json import read_json
from turnout.core.tracing import TRACEPARENT

SOURCE = "/apis/v1/namespaces/default/kafkasources/turnout"
WRAPPED = "dev.knative.kafka.event"
STRUCTURED = "application/cloudevents"
PLAIN = ("content-type", CONTENT_TYPE.encode())
OURS = {"specversion", "id", "source", "type", "time"}
KNOWN = OURS | {"subject", TRACEPARENT}
_NAME = re.compile(r"[a-z0-9_.-]+")
_CONTENT_TYPE = re.compile(r"[\x20-\x7e]+")
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def to_http(received: Received, source: str = SOURCE) -> tuple[dict[str, str], bytes]:
    """Headers and body of the binary content mode.

    A record that is a CloudEvent keeps its attributes, and carries its key as ``partitionkey``. Any other is
    wrapped; ``source`` is then what the event's source begins with.
    """
    event = _event(received, source)
    headers: dict[str, str] = {}
    for name, value in event.get_attributes().items():
        if value is None:
            continue
        if name == "datacontenttype":
            if _CONTENT_TYPE.fullmatch(str(value)):
                headers["content-type"] = str(value)
        else:
            headers[f"ce-{name}"] = quote(str(value), safe=_PRINTABLE, errors="replace")
    body: bytes = event.get_data() or b""
    return headers, body


def envelope_of(received: Received) -> Envelope:
    """What `from_http` makes of `to_http`: for a function that is called where the record was read.

    Raises: InvalidEnvelope.
    """
    plain = _plain(received.record)
    if plain is not None:
        return open_envelope(plain, received.record.value)
    event = _event(received, SOURCE)
    attributes = {
        name: str(value).encode(errors="replace").decode()
        for name, value in event.get_attributes().items()
        if value is not None and name != "datacontenttype"
    }
    return open_envelope(attributes, event.get_data() or b"")


def from_http(headers: Mapping[str, str], body: bytes) -> Envelope:
    """The envelope that a function was posted, in binary or in structured mode. ``headers``: of any letter case.

    The body is parsed once, by us: the SDK's parser, and the functions-framework's in front of it, fail at bodies that
    are merely hostile (deep nesting, numbers of thousands of digits) as if we had a defect. Raises: InvalidEnvelope.
    """
    named = {name.lower(): value for name, value in headers.items()}
    if "ce-specversion" not in named and named.get("content-type", "").lower().startswith(STRUCTURED):
        return _from_structured(body)
    attributes = {name[3:]: unquote(value) for name, value in named.items() if name.startswith("ce-")}
    return open_envelope(attributes, body)


def _from_structured(body: bytes) -> Envelope:
    if len(body) > MAX_DATA_BYTES:
        raise InvalidEnvelope(f"the event has {len(body)} bytes, at most {MAX_DATA_BYTES} allowed")
    try:
        content = read_json(body)
    except ValueError as error:
        raise InvalidEnvelope(f"the event is not JSON: {error}") from error
    if not isinstance(content, dict):
        raise InvalidEnvelope(f"the event is a JSON {type(content).__name__}, expected an object")
    return open_envelope(_attributes_of(content), _data_of(content))


def _data_of(content: Mapping[str, Any]) -> bytes:
    """Raises: InvalidEnvelope."""
    packed = content.get("data_base64")
    if packed is None:
        return json.dumps(content.get("data")).encode()
    try:
        return base64.b64decode(packed, validate=True)
    except (ValueError, TypeError) as error:
        raise InvalidEnvelope("data_base64: not base64") from error


def _plain(record: Record) -> dict[str, str] | None:
    """The attributes of an event as we write them ourselves, read without the SDK, in a third of its time; None: it is
    another's, and is read with more care."""
    found = {name[3:]: value for name, value in record.headers if name.startswith("ce_")}
    if (
        len(found) + 1 != len(record.headers)
        or record.headers[-1] != PLAIN
        or not OURS <= found.keys() <= KNOWN
    ):
        return None
    try:
        attributes = {name: value.decode() for name, value in found.items()}
        record.key.encode()
    except UnicodeError:
        return None
    if attributes["specversion"] != SPEC_VERSION:
        return None
    return attributes | {"partitionkey": record.key}


def _event(received: Received, source: str) -> CloudEvent:
    event = _own_event(received)
    if event is None or not all(_NAME.fullmatch(name) for name in event.get_attributes()):
        return _wrapped(received, source)
    return event


def _own_event(received: Received) -> CloudEvent | None:
    """The CloudEvent that the record is; None: it is none, or a broken one."""
    record = received.record
    headers = {name.lower(): value for name, value in record.headers}
    message = kafka.KafkaMessage(headers=headers, key=record.key, value=record.value)
    try:
        if "ce_specversion" in headers:
            if not {"ce_id", "ce_source", "ce_type"} <= headers.keys():
                return None
            event = kafka.from_binary(message, data_unmarshaller=_as_it_is)
            _keep_time(event, "ce_time" in headers)
            return event
        if headers.get("content-type", b"").startswith(STRUCTURED.encode()):
            return _structured(record)
    except (exceptions.GenericException, InvalidEnvelope, ValueError, AttributeError, TypeError):
        return None
    return None


def _structured(record: Record) -> CloudEvent | None:
    """Raises: ValueError, InvalidEnvelope for what is none; CloudEvents' own for one that lacks something."""
    content = read_json(record.value)
    if not isinstance(content, dict) or not {"id", "source", "type", "specversion"} <= content.keys():
        return None
    attributes = {
        "datacontenttype": "application/json",
        **_attributes_of(content),
        "partitionkey": record.key,
    }
    event = CloudEvent(attributes, _data_of(content))
    _keep_time(event, "time" in content)
    return event


def _attributes_of(content: Mapping[str, Any]) -> dict[str, str]:
    """Those of an event in structured mode, as text."""
    return {
        name: value if isinstance(value, str) else json.dumps(value)
        for name, value in content.items()
        if name not in ("data", "data_base64") and value is not None
    }


def _wrapped(received: Received, source: str) -> CloudEvent:
    record, where = received.record, f"partition:{received.partition}"
    attributes = {
        "specversion": "1.0",
        "id": f"{where}/offset:{received.offset}",
        "type": WRAPPED,
        "source": f"{source}#{record.topic}",
        "subject": f"{where}#{received.offset}",
        "time": _calendar(received.timestamp).isoformat().replace("+00:00", "Z"),
    }
    if record.key:
        attributes["key"] = record.key
    for name, value in record.headers:
        if name.lower() == "content-type":
            attributes["datacontenttype"] = value.decode(errors="replace")
        else:
            attributes["kafkaheader" + re.sub(r"[^a-z0-9]", "", name.lower())] = value.decode(
                errors="replace"
            )
    return CloudEvent(attributes, record.value)


def _calendar(timestamp: float) -> datetime:
    """A producer can write any number there; one outside of all calendars is the epoch."""
    try:
        return datetime.fromtimestamp(timestamp, UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.fromtimestamp(0, UTC)


def _keep_time(event: CloudEvent, given: bool) -> None:
    """The SDK puts the present time into an event that says none; the same record must make the same event."""
    if not given:
        del event["time"]


def _as_it_is(content: Any) -> Any:
    return content
