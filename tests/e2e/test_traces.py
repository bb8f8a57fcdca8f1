"""A push, as a tracing system sees it: one trace a run, from the webhook to the message."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.collector import Collector
from local.kafka.broker import Broker
from tests.e2e.system import System
from tests.waiting import wait_until

pytestmark = pytest.mark.real


@pytest.fixture(params=["embedded", "kafka", "separate"])
def shape(request: pytest.FixtureRequest) -> Iterator[tuple[dict[str, str], list[str]]]:
    if request.param == "kafka":
        with Broker() as broker:
            yield {"TURNOUT_KAFKA_BOOTSTRAP": broker.bootstrap}, []
    else:
        yield {}, ["--separate"] if request.param == "separate" else []


def test_one_trace_leads_from_the_webhook_to_the_message(
    tmp_path: Path, shape: tuple[dict[str, str], list[str]]
) -> None:
    settings, arguments = shape
    with Collector() as collector:
        named = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url, **settings}
        with System(tmp_path, named, arguments) as system:
            system.make_repository()
            system.start()
            run = system.deliver()
            system.wait_for([run])
            system.wait_for_messages(1)
            expected = Counter({"run": 1, "webhook": 1, "stage": 3, "attempt": 3, "script": 3})

            def told() -> bool:
                found = Counter(each.name.split()[0] for each in collector.spans().values())
                return found >= expected + Counter({"orchestrator": 7, "reporter": 1})

            wait_until(told, 30)
        spans = collector.spans()
    trace = run.replace("-", "")
    assert {each.trace for each in spans.values()} == {trace}
    (root,) = (each for each in spans.values() if not each.parent)
    assert root.name == "run acme/shop"
    assert not any(each.failed for each in spans.values())
    for each in spans.values():
        assert not each.parent or each.parent in spans, f"{each.name} hangs in the air"
        assert each.start <= each.end
    for each in spans.values():
        if each.name.split()[0] == "script":  # the worker's own word lies within what the run's events say
            attempt = spans[each.parent]
            assert attempt.name.startswith("attempt")
            assert spans[attempt.parent].name.startswith("stage")
            assert spans[spans[attempt.parent].parent] == root
            assert attempt.start <= each.start
