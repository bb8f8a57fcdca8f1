from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.core.building import CHANGE, START
from tests.core.test_envelope import JSON, TEXT
from turnout.core import messages as m
from turnout.core import result as r
from turnout.core.envelope import Envelope, open_record
from turnout.core.errors import InvalidEnvelope
from turnout.core.model import Outcome

ATTEMPT = {"run": "r1", "task": "test", "attempt": "a1", "token": "t", "worker": "w"}
RESULT = r.Result(
    outcome=Outcome.FAILURE,
    summary="1 failed",
    findings=r.Findings(counts={"high": 1}, named=(r.Finding(rule="E1", severity="high", message="no"),)),
    tests=r.Tests(total=2, failed=1, failed_cases=(r.FailedCase(id="x", name="x"),), coverage=81.5),
    outputs={"image": "shop"},
)
CHECKOUT = m.Checkout(repository="acme/shop", clone_url="/srv/shop.git", sha="a" * 40, ref="refs/heads/main")
EXAMPLES: tuple[m.Message, ...] = (
    m.RunRequested(trigger="t1", change=CHANGE, delivery="d1", requested_by="ada", reason="[skip ci]"),
    m.CancelRun(run="r1", by="ada", reason="wrong branch"),
    m.SupersedeRun(run="r1", newer="r2"),
    m.ReleaseRun(run="r1", after="r0"),
    m.EnvironmentFree(run="r1", environment="live", after="r0"),
    m.RerunRun(run="r1", trigger="t2", mode="stage", by="ada", stage="test"),
    m.Approve(run="r1", stage="ship", by="ada", teams=("@org/release",), comment="go"),
    m.Reject(run="r1", stage="ship", by="ada"),
    m.TaskStarted(**ATTEMPT, at=START, sandbox="bubblewrap"),
    m.TaskHeartbeat(**ATTEMPT, at=START),
    m.TaskFinished(**ATTEMPT, at=START, result=RESULT),
    m.TaskRequested(
        run="r1",
        project="acme/shop",
        stage="test",
        task="test[python=3.12]",
        agent="test",
        attempt="a1",
        number=2,
        token="t",
        checkout=CHECKOUT,
        options={"args": ["-q"], "deep": {"er": 1}},
        cell={"python": "3.12"},
        env={"CI": "true"},
        secrets=("TOKEN",),
        upstream={"build": {"image": "shop"}},
        previous_failed=(r.FailedCase(id="x", name="x", message="no"),),
        previous_tests=r.Tests(total=3, failed=1),
        timeout=900,
        heartbeat=5,
    ),
    m.CancelTask(run="r1", task="test", agent="test", attempt="a1", reason="halted"),
    m.LogChunk(run="r1", task="test", attempt="a1", sequence=3, at=START, text="…\n"),
    m.ReportRequested(run="r1", version=7, fact="stage:test", project="acme/shop"),
)


def by_type(message: m.Message) -> str:
    return message.type


def test_there_is_an_example_of_every_message() -> None:
    assert [type(each) for each in EXAMPLES] == list(m.ALL)
    assert len({each.type for each in m.ALL}) == len(m.ALL)


@pytest.mark.parametrize("message", EXAMPLES, ids=by_type)
def test_a_message_comes_out_of_the_bus_as_it_went_in(message: m.Message) -> None:
    envelope = m.wrap(message, id="m1", source="/s", at=START)
    record = envelope.to_record("agent.results", "r1")
    assert m.parse(open_record(record)) == message
    assert open_record(record).extensions == envelope.extensions


@pytest.mark.parametrize("message", EXAMPLES, ids=by_type)
def test_of_a_newer_versions_message_what_is_known_is_read_and_nothing_else_is_kept(
    message: m.Message,
) -> None:
    more: dict[str, Any] = {"suprise": {"a": [1]}, **message.to_json()}
    for field in ("change", "checkout", "result"):
        if field in more:
            more[field] = {"suprise": 1, **more[field]}
    found = m.parse(Envelope("m1", message.type, "/s", more))
    assert found == message
    assert "suprise" not in found.model_dump_json()


@pytest.mark.parametrize("message", EXAMPLES, ids=by_type)
def test_we_ourselves_can_make_no_message_with_a_key_that_is_not_ours(message: m.Message) -> None:
    with pytest.raises(ValueError, match=r"suprise\n  Extra inputs are not permitted"):
        type(message)(**{**message.to_json(), "suprise": 1})


@pytest.mark.parametrize("message", EXAMPLES, ids=by_type)
def test_a_message_without_a_field_it_needs_is_invalid(message: m.Message) -> None:
    needed = next(name for name, field in type(message).model_fields.items() if field.is_required())
    data = {name: value for name, value in message.to_json().items() if name != needed}
    with pytest.raises(InvalidEnvelope, match=rf"^data\.{needed}: Field required$"):
        m.parse(Envelope("m1", message.type, "/s", data))


@given(st.sampled_from(EXAMPLES), st.data())
def test_whatever_data_comes_is_a_message_or_an_invalid_envelope(
    message: m.Message, data: st.DataObject
) -> None:
    whole = message.to_json()
    spoilt = whole | data.draw(st.dictionaries(st.sampled_from(sorted(whole)) | TEXT, JSON, max_size=3))
    envelope = Envelope("m1", data.draw(st.sampled_from([message.type]) | TEXT), "/s", spoilt)
    try:
        found = m.parse(envelope)
    except InvalidEnvelope:
        return
    assert found.type == message.type == envelope.type


def test_an_unknown_type_is_told_those_there_are() -> None:
    with pytest.raises(InvalidEnvelope, match=r"^type: got 'nope', expected one of turnout\.log\.chunk, "):
        m.parse(Envelope("m1", "nope", "/s", {}))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ({"run": 7, "by": "ada"}, "data.run: Input should be a valid string, got '7'"),
        ({"run": "r1", "by": "x" * 200, "reason": 1}, "data.reason: Input should be a valid string, got '1'"),
    ],
)
def test_the_field_that_is_wrong_is_named_with_what_it_got(data: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        m.parse(Envelope("m1", m.CancelRun.type, "/s", data))
    assert caught.value.message == said


def test_what_a_message_got_is_told_in_short() -> None:
    with pytest.raises(InvalidEnvelope) as caught:
        m.parse(Envelope("m1", m.CancelRun.type, "/s", {"run": ["x" * 5000], "by": "ada"}))
    assert len(caught.value.message) < 200


FINISHED = next(each for each in EXAMPLES if isinstance(each, m.TaskFinished))
REQUESTED = next(each for each in EXAMPLES if isinstance(each, m.TaskRequested))


@pytest.mark.parametrize("attempt", ["", "../a1", "a/b", ".hidden", "a\0", "a\n", "x" * 121, "ä"])
def test_an_attempt_whose_id_could_be_a_path_is_refused(attempt: str) -> None:
    """Files and folders of a worker are called by it; a worker's thread once died of such a name."""
    for message in (FINISHED, REQUESTED):
        with pytest.raises(InvalidEnvelope, match=r"^data\.attempt: "):
            m.parse(Envelope("m1", message.type, "/s", {**message.to_json(), "attempt": attempt}))


@pytest.mark.parametrize(
    "at", ["2026-01-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59"]
)
def test_a_time_without_a_zone_or_beyond_the_calendar_is_refused(at: str) -> None:
    with pytest.raises(InvalidEnvelope, match=r"^data\.at: "):
        m.parse(Envelope("m1", FINISHED.type, "/s", {**FINISHED.to_json(), "at": at}))


@pytest.mark.parametrize("field", ["timeout", "heartbeat"])
@pytest.mark.parametrize("value", [0, -1, 1e300, float("inf"), float("nan")])
def test_a_task_that_would_wait_for_ever_or_never_is_refused(field: str, value: float) -> None:
    with pytest.raises(InvalidEnvelope, match=rf"^data\.{field}: "):
        m.parse(Envelope("m1", REQUESTED.type, "/s", {**REQUESTED.to_json(), field: value}))


def test_a_number_that_json_has_not_is_in_no_result() -> None:
    with pytest.raises(ValueError, match="finite"):
        r.Tests(duration=float("inf"))


def test_a_key_of_somebody_elses_choice_is_told_on_one_line() -> None:
    result = {**FINISHED.result.to_json(), "outputs": {"a\r\nX-Evil: 1" + "x" * 1000: 1}}
    data = {**FINISHED.to_json(), "result": result}
    with pytest.raises(InvalidEnvelope) as caught:
        m.parse(Envelope("m1", FINISHED.type, "/s", data))
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200
