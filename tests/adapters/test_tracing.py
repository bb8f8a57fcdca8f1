"""Spans on their way to a collector."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from local.collector import Collector
from tests.waiting import wait_until
from turnout.adapters.tracing import ENDPOINTS, Tracing, tracing
from turnout.core.tracing import Span, of_attempt, of_run

RUN, ATTEMPT = "1" * 32, "f" * 32
AT = datetime(2026, 11, 22, 12, 0, 0, 250_000, tzinfo=UTC)
ROOT = Span("run acme/shop", of_run(RUN), "", AT, AT + timedelta(seconds=3))
CHILD = Span("attempt unit #1", of_attempt(RUN, ATTEMPT), ROOT.place.span, AT, AT, error="2 tests failed")


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    with Collector() as found:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", found.url)
        yield found


def test_without_a_collector_nothing_is_traced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ENDPOINTS:
        monkeypatch.delenv(name, raising=False)
    assert tracing() is None


def test_spans_arrive_with_the_ids_and_times_they_were_given(collector: Collector) -> None:
    ours = Tracing("turnout-test")
    ours.record([CHILD, ROOT])
    ours.close()
    wait_until(lambda: len(collector.spans()) == 2)
    root, child = (collector.spans()[each.place.span] for each in (ROOT, CHILD))
    assert (root.trace, root.parent, root.service) == (RUN, "", "turnout-test")
    assert (child.trace, child.parent) == (RUN, root.id)
    assert (root.failed, child.failed) == (False, True)
    assert (root.start, root.end - root.start) == (int(AT.timestamp() * 1000) * 1_000_000, 3_000_000_000)


def test_a_collector_that_is_away_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    ours = Tracing("turnout-test")
    ours.record([ROOT])
    ours.close()
