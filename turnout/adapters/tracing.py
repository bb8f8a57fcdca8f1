"""Spans to an OpenTelemetry collector, where the environment names one (``OTEL_EXPORTER_OTLP_ENDPOINT``).

All of OpenTelemetry's own variables hold: headers, resource attributes, sampling. What is lost when a process is
killed is the picture, never the run: a span is sent within half a second of its end, and nobody waits for it.
Source: https://opentelemetry.io/docs/specs/otel/protocol/exporter/
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from turnout.core.tracing import Span

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import SpanContext

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
SEND_EVERY = 500
"""Milliseconds."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Tracing:
    """Thread-safe."""

    def __init__(self, service: str) -> None:
        self._service = service
        self._given = threading.local()
        self._making = threading.Lock()
        self._made: tuple[int, TracerProvider] | None = None

    def record(self, spans: Iterable[Span]) -> None:
        """Send them soon. Raises nothing: where the collector is away, they are dropped."""
        for span in spans:
            self._record(span)

    def close(self) -> None:
        """Send what is left, if that goes quickly, and stop."""
        if self._made is not None:
            self._made[1].shutdown()

    def _record(self, span: Span) -> None:
        from opentelemetry import trace

        self._given.span = span
        started = self._provider.get_tracer("turnout").start_span(
            span.name,
            trace.set_span_in_context(trace.NonRecordingSpan(_context(span))) if span.parent else None,
            kind=trace.SpanKind[span.kind.upper()],
            attributes=span.attributes,
            start_time=_nanoseconds(span.start),
        )
        if span.error:
            started.set_status(trace.StatusCode.ERROR, span.error)
        started.end(_nanoseconds(max(span.start, span.end)))

    @property
    def _provider(self) -> TracerProvider:
        """Of this process: the thread that sends does not come along with a fork."""
        with self._making:
            if self._made is None or self._made[0] != os.getpid():
                self._made = (os.getpid(), self._provide())
            return self._made[1]

    def _provide(self) -> TracerProvider:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.id_generator import IdGenerator

        given = self._given

        class Derived(IdGenerator):
            def generate_span_id(self) -> int:
                return int(given.span.place.span, 16)

            def generate_trace_id(self) -> int:
                return int(given.span.place.trace, 16)

        named = {"service.name": os.environ.get("OTEL_SERVICE_NAME") or self._service}
        provider = TracerProvider(resource=Resource.create(named), id_generator=Derived())
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(), schedule_delay_millis=SEND_EVERY))
        return provider


def tracing(service: str = "turnout") -> Tracing | None:
    """This process's, always the same; None where no collector is named."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        return None
    with _making:
        return _all.setdefault(service, Tracing(service))


_all: dict[str, Tracing] = {}
_making = threading.Lock()


def _after_fork() -> None:
    """Its locks may have been held by threads that the child does not have."""
    global _making
    _making = threading.Lock()
    _all.clear()


os.register_at_fork(after_in_child=_after_fork)


def _context(span: Span) -> SpanContext:
    from opentelemetry.trace import SpanContext, TraceFlags

    return SpanContext(
        int(span.place.trace, 16), int(span.parent, 16), is_remote=True, trace_flags=TraceFlags(1)
    )


def _nanoseconds(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(microseconds=1) * 1000
