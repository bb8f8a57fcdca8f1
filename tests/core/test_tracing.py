"""Where things stand in a trace."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import START
from turnout.core import messages as m
from turnout.core import tracing
from turnout.core.ids import attempt_id, derive, run_id

RUN = run_id("a trigger")


def test_the_trace_of_a_run_is_the_runs_id() -> None:
    assert tracing.of_run(RUN).trace == RUN.replace("-", "")


@given(st.text(), st.text())
def test_whatever_the_ids_are_a_place_can_be_read_again(run: str, attempt: str) -> None:
    for place in (tracing.of_run(run), tracing.of_attempt(run, attempt), tracing.of_stage(run, attempt)):
        assert tracing.read(str(place)) == place


def test_run_attempt_work_and_handling_stand_apart() -> None:
    attempt = attempt_id(RUN, "unit", 1)
    parent = tracing.of_attempt(RUN, attempt)
    places = {
        tracing.of_run(RUN),
        tracing.of_stage(RUN, "unit"),
        parent,
        tracing.of_work(RUN, attempt),
        tracing.of_handling(parent, derive("message", attempt)),
    }
    assert len({place.span for place in places}) == 5
    assert len({place.trace for place in places}) == 1


@pytest.mark.parametrize("text", ["", "00-zz-1-01", "01-" + "a" * 32 + "-" + "b" * 16 + "-01", "x" * 9000])
def test_what_is_no_place_is_none(text: str) -> None:
    assert tracing.read(text) is None


def test_a_message_says_what_it_is_about() -> None:
    attempt = attempt_id(RUN, "unit", 1)
    cancel = m.CancelTask(run=RUN, task="unit", agent="test", attempt=attempt, reason="")
    told = m.ReportRequested(run=RUN, version=1, fact="started", project="acme/shop")
    again = m.RerunRun.model_validate(
        {"run": RUN, "trigger": "t2", "mode": "whole", "by": "ann", "stage": ""}
    )
    for message, place in (
        (cancel, tracing.of_attempt(RUN, attempt)),
        (told, tracing.of_run(RUN)),
        (again, tracing.of_run(run_id("t2"))),
    ):
        envelope = m.wrap(message, id="x", source="/test", at=START)
        assert envelope.extensions == {"traceparent": str(place)}
