"""The e-mail channel against a real SMTP server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.core.building import Story, a_plan, stage
from tests.mailbox import Mailbox
from tests.reporting.telling import LINTED, TWO_FAILED, Desk, ends, passes, pipeline, told
from turnout.adapters.smtp import SmtpMailer, SmtpServer
from turnout.core import messages as m
from turnout.core.errors import PermanentError, TransientError
from turnout.core.model import Outcome
from turnout.core.plan import Approval, Notify
from turnout.core.result import Result
from turnout.reporting.email_channel import EmailChannel
from turnout.reporting.ledger import LEASE, SENT, SKIPPED

ADA, BOB = "ada@example.org", "bob@example.org"


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def desk(mailbox: Mailbox) -> Desk:
    mailer = SmtpMailer(SmtpServer("127.0.0.1", mailbox.port))
    return Desk((EmailChannel(mailer, "turnout@example.org"),))


def failed(**more: object) -> Story:
    return ends(told(pipeline(email=(ADA, BOB)), **more), "lint", LINTED)  # type: ignore[arg-type]


def test_a_failed_run_is_mailed_to_each_address_once(desk: Desk, mailbox: Mailbox) -> None:
    story = failed()
    for fact in ("stage:lint", "finished", "finished"):
        desk.report(story, fact)
    assert mailbox.recipients == [ADA, BOB]
    assert {mail["To"] for mail in mailbox.mails} == {f"{ADA}, {BOB}"}
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 1
    assert desk.status(story.run, "email", "finished") == SENT


def test_nothing_is_mailed_before_the_run_has_ended(desk: Desk, mailbox: Mailbox) -> None:
    story = ends(passes(told(pipeline(email=(ADA,))), "lint"), "test", TWO_FAILED)
    desk.report(story, "attempt:1")
    assert mailbox.mails == []
    assert desk.status(story.run, "email", "attempt:1") == SKIPPED


def test_success_is_mailed_where_it_is_asked_for(desk: Desk, mailbox: Mailbox) -> None:
    quiet = passes(told(pipeline(email=(ADA,))), "lint", "test", "script")
    desk.report(quiet, "finished")
    assert mailbox.mails == []
    asked = passes(told(pipeline(email=(ADA,), on=("success",)), run="asked"), "lint", "test", "script")
    desk.report(asked, "finished")
    assert [mail["Subject"].split(":")[0] for mail in mailbox.mails] == ["[shop] succeeded"]


def test_recovery_is_mailed(desk: Desk, mailbox: Mailbox) -> None:
    desk.put(ends(told(pipeline(), run="before"), "lint", LINTED))
    desk.report(passes(told(pipeline(email=(ADA,))), "lint", "test", "script"), "finished")
    assert [mail["Subject"].split(":")[0] for mail in mailbox.mails] == ["[shop] recovered"]


def test_a_cancelled_run_is_not_mailed(desk: Desk, mailbox: Mailbox) -> None:
    story = told(pipeline(email=(ADA,), on=("success",)))
    story.hear(m.CancelRun(run=story.run.id, by="ada"))
    ends(story, "lint", Result(outcome=Outcome.CANCELLED))
    desk.report(story, "finished")
    assert mailbox.mails == []


def test_a_stage_that_waits_for_people_is_mailed_and_later_the_end_of_the_run(
    desk: Desk, mailbox: Mailbox
) -> None:
    notify = Notify(email=(ADA,), on=("success",))
    story = told(a_plan(stage("ship", approval=Approval()), notify=notify))
    desk.report(story, "approval:ship")
    story.hear(m.Approve(run=story.run.id, stage="ship", by="ada"))
    desk.report(passes(story, "ship"), "finished")
    assert [mail["X-Turnout-Outcome"] for mail in mailbox.mails] == ["approval", "success"]


def test_an_address_that_is_refused_for_good_keeps_no_other_waiting(desk: Desk, mailbox: Mailbox) -> None:
    mailbox.refuse[ADA] = ["550 5.1.1 no such mailbox"]
    with pytest.raises(PermanentError, match=rf"{ADA}.*550 5.1.1 no such mailbox"):
        desk.report(failed(), "finished")
    assert mailbox.recipients == [BOB]


def test_an_address_that_is_greylisted_is_tried_again_alone(desk: Desk, mailbox: Mailbox) -> None:
    mailbox.refuse[ADA] = ["451 4.7.1 come back later"]
    story = failed()
    with pytest.raises(TransientError, match="come back later"):
        desk.report(story, "finished")
    desk.report(story, "finished")
    assert mailbox.recipients == [BOB, ADA]


def test_what_is_no_address_is_said_after_the_others_were_served(desk: Desk, mailbox: Mailbox) -> None:
    story = ends(told(pipeline(email=(ADA, "Bob <bob@example.org>"))), "lint", LINTED)
    with pytest.raises(PermanentError, match="is not an address"):
        desk.report(story, "finished")
    assert mailbox.recipients == [ADA]
    assert mailbox.mails[0]["To"] == ADA


@pytest.mark.parametrize(
    "sender", ["", "Turnout", "Turnout <t@example.org>", "t@example.org\r\nBcc: x@example.org"]
)
def test_a_sender_that_is_no_address_is_refused_at_once(sender: str) -> None:
    with pytest.raises(PermanentError, match="TURNOUT_MAIL_FROM"):
        EmailChannel(SmtpMailer(SmtpServer("127.0.0.1", 25)), sender)


def test_without_addresses_nothing_is_sent_and_that_is_recorded(desk: Desk, mailbox: Mailbox) -> None:
    story = ends(told(pipeline()), "lint", LINTED)
    desk.report(story, "finished")
    row = desk.store.find_report(story.run.id, "email", "finished")
    assert row is not None
    assert (row.status, mailbox.mails) == (SKIPPED, [])
    assert "notify.email" in row.reference


def test_a_crash_after_handing_over_sends_the_same_mail_again_under_the_same_id(
    desk: Desk, mailbox: Mailbox
) -> None:
    """A mail can't be looked for: the Message-ID is what lets servers and readers drop the second."""
    story = ends(told(pipeline(email=(ADA,))), "lint", LINTED)
    mailer = SmtpMailer(SmtpServer("127.0.0.1", mailbox.port))

    class Dies:
        def send(self, *mail: object) -> None:
            mailer.send(*mail)  # type: ignore[arg-type]
            raise KeyboardInterrupt

    dying = Desk((EmailChannel(Dies(), "turnout@example.org"),), desk.store, desk.clock)
    with pytest.raises(KeyboardInterrupt):
        dying.report(story, "finished")
    with pytest.raises(TransientError, match="another process"):
        desk.report(story, "finished")
    desk.clock.forward(LEASE.total_seconds())
    desk.report(story, "finished")
    assert len(mailbox.mails) == 2
    assert len({mail["Message-ID"] for mail in mailbox.mails}) == 1
