"""A stand-in for an OpenTelemetry collector on loopback: takes spans over OTLP/HTTP and keeps them."""

from __future__ import annotations

import gzip
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler

from local.loopback import Loopback


@dataclass(frozen=True, slots=True)
class Collected:
    """``trace``, ``id``, ``parent`` in hex. ``start``, ``end``: nanoseconds since the epoch."""

    service: str
    name: str
    trace: str
    id: str
    parent: str
    start: int
    end: int
    failed: bool


class Collector:
    """A context manager; `url` is what ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set to."""

    def __init__(self) -> None:
        self._found: dict[str, Collected] = {}
        self._guard = threading.Lock()
        keep = self._keep

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                if self.path == "/v1/traces":
                    keep(body)
                self.send_response(200 if self.path == "/v1/traces" else 404)
                self.send_header("content-type", "application/x-protobuf")
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._served = Loopback(Handler)

    def __enter__(self) -> Collector:
        self._served.__enter__()
        return self

    def __exit__(self, *ended: object) -> None:
        self._served.__exit__(None, None, None)

    @property
    def url(self) -> str:
        return self._served.url

    def spans(self) -> dict[str, Collected]:
        """By id; one that was sent twice is there once."""
        with self._guard:
            return dict(self._found)

    def _keep(self, body: bytes) -> None:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {each.key: each.value.string_value for each in resource.resource.attributes}
            for scope in resource.scope_spans:
                for span in scope.spans:
                    found = Collected(
                        named.get("service.name", ""),
                        span.name,
                        span.trace_id.hex(),
                        span.span_id.hex(),
                        span.parent_span_id.hex(),
                        span.start_time_unix_nano,
                        span.end_time_unix_nano,
                        span.status.code == 2,
                    )
                    with self._guard:
                        self._found[found.id] = found
