from __future__ import annotations

from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.core.building import START, a_plan, stage
from tests.reporting.telling import CHANGE, LINTED, PROBLEM, RUN, TWO_FAILED, ends, passes, pipeline, told
from turnout.core.errors import PermanentError
from turnout.core.model import Outcome
from turnout.core.plan import Approval
from turnout.core.result import FailedCase, Result
from turnout.core.result import Tests as Cases
from turnout.core.run import Run
from turnout.reporting.email_text import address, compose, is_address, message_id, subject
from turnout.reporting.view import look

SENDER = "turnout@ci.example.org"


def mail_of(run: Run, previous: str = "", **more: object) -> EmailMessage:
    """As it arrives: through bytes and back."""
    view = look(run, previous=previous, console="https://ci.example.org")
    made = compose(view, fact="finished", wanted=None, sender=SENDER, to=["team@example.org"], at=START)
    arrived = message_from_bytes(made.as_bytes(), policy=default)
    assert isinstance(arrived, EmailMessage)
    return arrived


def body(mail: EmailMessage, kind: str) -> str:
    part = mail.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def failed() -> Run:
    return ends(ends(passes(told(pipeline()), "lint"), "test", TWO_FAILED), "test", TWO_FAILED).run


def test_the_subject_says_the_outcome() -> None:
    title = "Let orders be <cancelled> & refunded"
    assert mail_of(failed())["Subject"] == f"[shop] failed: main 4f2a9c1 {title}"
    green = passes(told(pipeline()), "lint", "test", "script").run
    assert mail_of(green, "failure")["Subject"] == f"[shop] recovered: main 4f2a9c1 {title}"


def test_the_text_tells_stages_failed_tests_and_the_link() -> None:
    text = body(mail_of(failed()), "plain")
    for said in (
        "✗ shop failed on main",
        "commit:  4f2a9c1 Let orders be <cancelled> & refunded",
        f"https://ci.example.org/runs/{RUN}",
        "  ✗ test    2 attempts, 6.0 s, 2 of 142 tests failed",
        "test, attempt 2, failed: 2 of 142 tests failed",
        "  - test_total assert 41 == 42",
    ):
        assert said in text


def test_the_html_holds_the_same_and_escapes_what_others_wrote() -> None:
    html = body(mail_of(failed()), "html")
    assert "Let orders be &lt;cancelled&gt; &amp; refunded" in html
    assert "<code>test_empty[0]</code> KeyError: &#x27;&lt;id&gt;&#x27;" in html
    assert f'<a href="https://ci.example.org/runs/{RUN}">' in html


def test_findings_and_problems_are_located() -> None:
    text = body(mail_of(ends(told(pipeline()), "lint", LINTED).run), "plain")
    assert "12 findings in lint: 2 high, 10 low" in text
    assert "  - shop/cart.py:12 high: undefined name 'x' (E0602)" in text
    assert "  - and 11 more" in text
    text = body(mail_of(told(None, problems=(PROBLEM,), reason="1 problem").run), "plain")
    assert "  - pipeline.yml:7:5 pipeline.stages[2].retries: unknown key 'maxx'; did you mean 'max'?" in text


def test_a_wanted_approval_is_in_subject_and_text() -> None:
    run = told(a_plan(stage("ship", approval=Approval(by=("@ada",))))).run
    view = look(run)
    assert subject(view, view.wanted[0]).startswith("[shop] ship waits for approval: main")
    assert f"turnout approve {RUN[:8]} ship" in body(mail_of(run), "plain")


def test_machines_can_tell_that_a_machine_wrote_it_and_about_what() -> None:
    mail = mail_of(failed())
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["X-Turnout-Run"] == RUN
    assert mail["X-Turnout-Outcome"] == "failure"
    assert mail["Date"].datetime == START


def test_the_message_id_is_the_same_for_the_same_fact_and_no_other() -> None:
    one = message_id("r1", "finished", SENDER)
    assert one == message_id("r1", "finished", SENDER)
    assert one.endswith("@ci.example.org>")
    others = {message_id("r2", "finished", SENDER), message_id("r1", "approval:ship", SENDER)}
    assert one not in others
    assert len(others) == 2


def test_mails_of_one_branch_belong_to_one_conversation() -> None:
    first, second = (
        mail_of(failed()),
        mail_of(passes(told(pipeline(), run="r2"), "lint", "test", "script").run),
    )
    assert first["References"] == second["References"]
    assert first["Message-ID"] != second["Message-ID"]
    other = mail_of(told(pipeline(), change=CHANGE.with_(branch="topic")).run)
    assert other["References"] != first["References"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "team",
        "a@b@c",
        "Team <team@example.org>",
        "team@example.org\r\nBcc: evil@example.org",
        "team@example.org, evil@example.org",
        "team @example.org",
        "<team@example.org>",
        "team@-example.org",
        "team@example.org\n",
    ],
)
def test_what_is_no_plain_address_is_refused(text: str) -> None:
    assert not is_address(text)
    with pytest.raises(PermanentError, match="is not an address"):
        address(text)


@pytest.mark.parametrize(
    "text", ["team@example.org", "a.b+ci@mail.example.org", "root@localhost", "jörg@example.org"]
)
def test_a_plain_address_is_taken(text: str) -> None:
    assert address(text) == text


@settings(max_examples=25, deadline=None)
@given(text=st.text(max_size=200))
def test_no_text_of_others_becomes_a_header_or_markup(text: str) -> None:
    evil = f"{text}\r\nBcc: evil@example.org\r\n\r\n<script>alert(1)</script>{text}"
    result = Result(
        outcome=Outcome.FAILURE,
        summary=evil,
        reason=evil,
        tests=Cases(failed=1, failed_cases=(FailedCase(id=evil, name=evil, message=evil),)),
    )
    change = CHANGE.with_(title=evil, author=evil, branch=evil)
    mail = mail_of(ends(told(a_plan(stage("test")), change=change), "test", result).run)
    assert mail["Bcc"] is None
    assert mail["To"] == "team@example.org"
    assert "<script>" not in body(mail, "html")
    assert [part.get_content_type() for part in mail.iter_parts()] == ["text/plain", "text/html"]
