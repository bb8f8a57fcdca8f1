from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from slack_sdk.models.blocks import Block, HeaderBlock, RichTextBlock

from local.slack.block_rules import refuse
from local.slack.terminal import render
from tests.core.building import a_plan, stage
from tests.reporting.telling import CHANGE, LINTED, PROBLEM, TWO_FAILED, ends, passes, pipeline, told
from turnout.core.model import Outcome
from turnout.core.plan import Approval, ConfigProblem
from turnout.core.result import FailedCase, Finding, Findings, Result
from turnout.core.result import Tests as Cases
from turnout.core.run import Run
from turnout.reporting.slack_blocks import EMOJI, SlackMessage, card, details, to_json
from turnout.reporting.slack_elements import MAX_TEXT, escape, size
from turnout.reporting.view import Light, look


def seen(message: SlackMessage) -> str:
    """What a person reads."""
    console = Console(width=200, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    with console.capture() as capture:
        console.print(render({**to_json(message, "r1"), "ts": "1767225600.000100"}))
    console.file.close()
    return capture.get()


def the_card(run: Run, **more: str) -> SlackMessage:
    message = card(look(run, **more))
    assert refuse(message.text, list(message.blocks)) is None
    return message


def pressable(run: Run) -> dict[str, tuple[str, str]]:
    """What is written on the message's buttons, to their action and value."""
    message = card(look(run), pressed=True)
    assert refuse(message.text, list(message.blocks)) is None
    rows = [each for each in message.blocks if each["type"] == "actions"]
    assert len({each["block_id"] for each in rows}) == len(rows)
    found = [button for row in rows for button in row["elements"]]
    return {each["text"]["text"]: (each["action_id"], each["value"]) for each in found}


def the_details(run: Run, **more: str) -> dict[str, SlackMessage]:
    found = details(look(run, **more))
    for each in found:
        assert refuse(each.text, list(each.blocks)) is None, each
    return {each.key: each for each in found}


def test_a_person_sees_outcome_commit_stages_and_the_tests_that_failed() -> None:
    story = ends(ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED), "test", TWO_FAILED)
    text = seen(the_card(story.run))
    for said in (
        "❌ shop failed on main",
        "4f2a9c1 Let orders be <cancelled> & refunded by Ada",
        "✅ lint  3.0 s · all good",
        "❌ test  2 attempts · 6.0 s · 2 of 142 tests failed",
        "⏩ script  skipped",
        "• test_total assert 41 == 42",
        "• test_empty[0] KeyError: '<id>'",
        "took 9.0 s",
    ):
        assert said in text


def test_findings_are_said_by_severity_with_their_place() -> None:
    text = seen(the_card(ends(told(pipeline()), "lint", LINTED).run))
    assert "12 findings: 2 high, 10 low" in text
    assert "• high shop/cart.py:12 undefined name 'x' (E0602)" in text
    assert "and 11 more" in text


def test_the_problems_of_a_pipeline_file_are_located() -> None:
    run = told(None, problems=(PROBLEM,), reason="1 problem").run
    expected = "• pipeline.yml:7:5 pipeline.stages[2].retries: unknown key 'maxx'; did you mean 'max'?"
    assert expected in seen(the_card(run))
    assert expected in seen(the_details(run)["problems"])


def test_a_wanted_approval_says_who_may_give_it_and_how() -> None:
    approval = Approval(required=2, by=("@acme/release",))
    run = told(a_plan(stage("ship", environment="production", approval=approval))).run
    for text in (seen(the_card(run)), seen(the_details(run)["approval:ship"])):
        assert "ship (environment production) waits for 2 approvals by @acme/release" in text
        assert f"turnout approve {run.id[:8]} ship" in text


def test_only_the_first_failed_tests_are_named_and_the_rest_is_counted() -> None:
    cases = tuple(FailedCase(id=f"t{n}", name=f"test_{n}", message="no") for n in range(20))
    many = Result(outcome=Outcome.FAILURE, tests=Cases(total=90, passed=70, failed=20, failed_cases=cases))
    run = ends(told(a_plan(stage("test"))), "test", many).run
    assert "test_7 " in seen(the_card(run))
    assert "test_8 " not in seen(the_card(run))
    assert "and 12 more" in seen(the_card(run))
    assert "test_19 " in seen(next(iter(the_details(run).values())))


def test_each_failed_attempt_is_told_in_the_thread_once() -> None:
    story = ends(ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED), "test", TWO_FAILED)
    attempts = story.run.stages["test"].tasks["test"].attempts
    assert list(the_details(story.run)) == [f"attempt:{each.id}" for each in attempts]
    first = seen(the_details(story.run)[f"attempt:{attempts[0].id}"])
    assert "test, attempt 1, failed: 2 of 142 tests failed – tried again" in first
    assert "pytest 9.0.2" in first


def test_recovery_is_said_in_headline_and_thread() -> None:
    run = passes(told(pipeline()), "lint", "test", "script").run
    assert "✅ shop recovered on main" in seen(the_card(run, previous="failure"))
    assert "recovered" in the_details(run, previous="failure")
    assert the_details(run, previous="success") == {}


def test_the_fallback_text_alone_tells_what_matters() -> None:
    story = ends(ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED), "test", TWO_FAILED)
    assert the_card(story.run).text == (
        ":x: shop failed on main (4f2a9c1): Let orders be &lt;cancelled&gt; &amp; refunded"
        " – test, attempt 2, failed: 2 of 142 tests failed"
    )


def test_text_of_others_can_neither_link_nor_mention_nor_format() -> None:
    evil = "<!channel> *bold* _it_ `code` <https://evil.example|click> :tada: &lt;"
    change = CHANGE.with_(title=evil, author=evil)
    result = Result(
        outcome=Outcome.FAILURE,
        summary=evil,
        reason=evil,
        tests=Cases(failed=1, failed_cases=(FailedCase(id=evil, name=evil, message=evil),)),
        findings=Findings(
            counts={"high": 1}, named=(Finding(rule=evil, severity="high", message=evil, path=evil),)
        ),
        tools={evil: evil},
        sandbox=evil,
    )
    run = ends(
        told(a_plan(stage("test")), change=change, requested_by=evil, rerun_of="1" * 36), "test", result
    ).run
    messages = (the_card(run), *the_details(run).values())
    for message in messages:
        for interpreted in (message.text, *mrkdwn_of(message.blocks)):
            assert "<!channel>" not in interpreted
            assert "<https://evil" not in interpreted
    assert evil in seen(messages[0])


def mrkdwn_of(part: Any) -> list[str]:
    if isinstance(part, dict):
        own = [part["text"]] if part.get("type") == "mrkdwn" else []
        return own + [text for each in part.values() for text in mrkdwn_of(each)]
    if isinstance(part, list | tuple):
        return [text for each in part for text in mrkdwn_of(each)]
    return []


def test_a_run_with_hundreds_of_stages_still_fits_and_shows_what_went_wrong() -> None:
    stages = [stage(f"stage-{n:03}") for n in range(300)]
    story = told(a_plan(*stages, fail_fast=False))
    ends(story, "stage-299", TWO_FAILED)
    text = seen(the_card(story.run))
    assert "❌ stage-299" in text
    assert "and 260 more" in text


def test_blocks_are_what_slacks_own_models_take() -> None:
    story = ends(ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED), "test", TWO_FAILED)
    for message in (the_card(story.run), *the_details(story.run).values()):
        parsed = Block.parse_all(list(message.blocks))
        for block, sent in zip(parsed, message.blocks, strict=True):
            block.validate_json()
            assert block.to_dict() == sent
    assert isinstance(Block.parse(the_card(story.run).blocks[0]), HeaderBlock)
    assert isinstance(Block.parse(the_card(story.run).blocks[1]), RichTextBlock)


def test_every_light_has_an_emoji_that_the_terminal_knows_too() -> None:
    assert set(EMOJI) == set(Light)
    for name in EMOJI.values():
        assert f":{name}:" not in seen(SlackMessage("k", f":{name}:", ()))


def test_the_metadata_names_run_and_fact() -> None:
    sent = to_json(the_card(told(pipeline()).run), "r1")
    assert sent["metadata"] == {"event_type": "turnout_run", "event_payload": {"run": "r1", "fact": "card"}}


def test_escaping_covers_exactly_slacks_three() -> None:
    assert escape("<a> & 'b' \"c\"") == "&lt;a&gt; &amp; 'b' \"c\""


WILD = (
    "",
    " ",
    "plain",
    "&" * 400,
    "<!channel>" * 60,
    "x" * 5000,
    "\n\x1b[31m",
    "\u202eabc",
    "word " * 300,
    "\ud800",
)
wild = st.integers(0, len(WILD) - 1)
many = st.integers(0, 50)


@settings(max_examples=25, deadline=None)
@given(
    stages=st.sampled_from((1, 2, 7)), cases=many, named=many, wrong=many, picks=st.tuples(wild, wild, wild)
)
def test_whatever_others_wrote_slack_takes_the_message(
    stages: int, cases: int, named: int, wrong: int, picks: tuple[int, int, int]
) -> None:
    a, b, c = (WILD[pick] for pick in picks)
    result = Result(
        outcome=Outcome.FAILURE,
        summary=a,
        reason=b,
        tests=Cases(failed=cases + 3, failed_cases=(FailedCase(id=a, name=b, message=c),) * cases),
        findings=Findings(
            counts={a: 7}, named=(Finding(rule=b, severity=c, message=a, path=b, line=3),) * named
        ),
        tools={a: b},
        sandbox=c,
    )
    problem = ConfigProblem(file=c, line=wrong, column=1, path=a, message=b, hint=c)
    names = [f"s{n}" for n in range(stages)]
    plan = a_plan(*(stage(name) for name in names), fail_fast=False)
    story = told(plan, change=CHANGE.with_(title=a, author=b, url="https://git.example.org/" + "u" * 400))
    for name in names:
        if story.task(name).active:
            ends(story, name, result)
    run = story.run.with_(problems=(problem,) * wrong)
    for message in (the_card(run), *the_details(run).values()):
        assert size(message.blocks) <= MAX_TEXT
        assert message.text.encode()


def test_stages_that_wait_have_buttons_where_somebody_hears_of_them() -> None:
    waits = Approval(required=1, by=("@ada",))
    story = told(a_plan(stage("ship", approval=waits), stage("x" * 63, approval=waits)))
    run = story.run
    long = "x" * 59 + "…"
    assert pressable(run) == {
        "Approve ship": ("turnout.approve", f"{run.id} ship"),
        "Reject ship": ("turnout.reject", f"{run.id} ship"),
        f"Approve {long}": ("turnout.approve", f"{run.id} {'x' * 63}"),
        f"Reject {long}": ("turnout.reject", f"{run.id} {'x' * 63}"),
    }
    assert not any(each["type"] == "actions" for each in the_card(run).blocks)
    assert pressable(told(pipeline()).run) == {}
