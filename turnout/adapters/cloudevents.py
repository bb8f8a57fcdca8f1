"""Records as CloudEvents over HTTP, as Knative's KafkaSource sends them, and CloudEvents as our envelopes.

Sources: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md
and https://knative.dev/docs/eventing/sources/kafka-source (records that are not CloudEvents).
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote

from cloudevents import exceptions, kafka
from cloudevents.http import CloudEvent

from turnout.core.envelope import Envelope, Received, encode_data, open_envelope
from turnout.core.errors import InvalidEnvelope

SOURCE = "/apis/v1/namespaces/default/kafkasources/turnout"
WRAPPED = "dev.knative.kafka.event"
STRUCTURED = "application/cloudevents"
_NAME = re.compile(r"[a-z0-9_.-]+")
_CONTENT_TYPE = re.compile(r"[\x20-\x7e]+")
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')


def to_http(received: Received, source: str = SOURCE) -> tuple[dict[str, str], bytes]:
    """Headers and body of the binary content mode.

    A record that is a CloudEvent keeps its attributes, and carries its key as ``partitionkey``. Any other is
    wrapped; ``source`` is then what the event's source begins with.
    """
    event = _own_event(received)
    if event is None or not all(_NAME.fullmatch(name) for name in event.get_attributes()):
        event = _wrapped(received, source)
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


def from_cloud_event(event: CloudEvent) -> Envelope:
    """The envelope that a function was called with in binary mode. Raises: InvalidEnvelope."""
    attributes = {
        name: unquote(str(value)) for name, value in event.get_attributes().items() if value is not None
    }
    return open_envelope(attributes, _body(event.get_data()))


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
            return _structured(message)
    except (exceptions.GenericException, UnicodeDecodeError, AttributeError, TypeError):
        return None
    return None


def _structured(message: kafka.KafkaMessage) -> CloudEvent | None:
    content = json.loads(message.value) if _is_json(message.value) else None
    if not isinstance(content, dict) or not {"id", "source", "type", "specversion"} <= content.keys():
        return None
    event = kafka.from_structured(message)
    attributes = dict(event.get_attributes())
    attributes["datacontenttype"] = content.get("datacontenttype", "application/json")
    data = event.get_data()
    kept = CloudEvent(attributes, data if isinstance(data, bytes) else json.dumps(data).encode())
    _keep_time(kept, "time" in content)
    return kept


def _wrapped(received: Received, source: str) -> CloudEvent:
    record, where = received.record, f"partition:{received.partition}"
    attributes = {
        "specversion": "1.0",
        "id": f"{where}/offset:{received.offset}",
        "type": WRAPPED,
        "source": f"{source}#{record.topic}",
        "subject": f"{where}#{received.offset}",
        "time": datetime.fromtimestamp(received.timestamp, UTC).isoformat().replace("+00:00", "Z"),
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


def _keep_time(event: CloudEvent, given: bool) -> None:
    """The SDK puts the present time into an event that says none; the same record must make the same event."""
    if not given:
        del event["time"]


def _body(data: Any) -> bytes:
    match data:
        case None:
            return b""
        case bytes():
            return data
        case str():
            return data.encode()
        case dict():
            return encode_data(data)
        case _:
            try:
                return json.dumps(data).encode()
            except (TypeError, ValueError) as error:
                raise InvalidEnvelope(f"data: got {type(data).__name__}, expected an object") from error


def _as_it_is(content: Any) -> Any:
    return content


def _is_json(content: str | bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
