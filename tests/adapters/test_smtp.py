"""Handing mail over, to a real SMTP server."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest

from local.server_process import free_port
from tests.mailbox import Mailbox
from tests.real import require
from turnout.adapters.smtp import SmtpMailer, SmtpServer, read_smtp_url
from turnout.core.errors import PermanentError, TransientError

ADA, SENDER = "ada@example.org", "turnout@example.org"


def a_mail() -> EmailMessage:
    mail = EmailMessage()
    mail["Subject"] = "Grüße"
    mail["From"] = SENDER
    mail["To"] = ADA
    mail.set_content("all good")
    return mail


def send(server: SmtpServer) -> None:
    SmtpMailer(server).send(a_mail(), SENDER, ADA)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with Mailbox() as box:
        yield box


@pytest.fixture
def server(mailbox: Mailbox) -> SmtpServer:
    return SmtpServer("127.0.0.1", mailbox.port, timeout=5)


class TestTheUrl:
    def test_is_read_with_user_password_and_options(self) -> None:
        url = "smtp://ci%40example.org:p%40ss%2Fword@mail.example.org:2525?starttls=required&timeout=5"
        assert read_smtp_url(url) == SmtpServer(
            "mail.example.org", 2525, "ci@example.org", "p@ss/word", "required", timeout=5
        )

    def test_has_the_usual_ports(self) -> None:
        assert read_smtp_url("smtp://mail.example.org") == SmtpServer("mail.example.org", 587)
        assert read_smtp_url("smtps://mail.example.org") == SmtpServer(
            "mail.example.org", 465, encryption="implicit"
        )

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "mail.example.org:25",
            "http://mail.example.org",
            "smtp://",
            "smtp://mail.example.org:port",
            "smtp://mail.example.org?starttls=maybe",
            "smtp://mail.example.org?timeout=0",
            "smtp://mail.example.org?timeout=soon",
            "smtp://mail.example.org?tls=1",
            "smtp://mail.example.org?starttls",
        ],
    )
    def test_is_refused_with_a_reason_when_it_is_none(self, url: str) -> None:
        with pytest.raises(PermanentError, match="TURNOUT_SMTP_URL"):
            read_smtp_url(url)

    def test_never_shows_its_password(self) -> None:
        assert "hunter2" not in repr(read_smtp_url("smtp://ci:hunter2@mail.example.org"))
        with pytest.raises(PermanentError) as caught:
            read_smtp_url("smtp://ci:hunter2@mail.example.org?starttls=maybe")
        assert "hunter2" not in str(caught.value)


def test_a_mail_is_handed_over(server: SmtpServer, mailbox: Mailbox) -> None:
    send(server)
    (mail,) = mailbox.mails
    assert (mail["Subject"], mail.get_content().strip()) == ("Grüße", "all good")
    assert mailbox.recipients == [ADA]


def test_a_recipient_that_is_refused_for_now_can_be_tried_again(server: SmtpServer, mailbox: Mailbox) -> None:
    mailbox.refuse[ADA] = ["450 4.2.1 mailbox is busy"]
    with pytest.raises(TransientError, match=r"450 4.2.1 mailbox is busy"):
        send(server)


def test_a_recipient_that_is_refused_for_good_is_named_with_the_reason(
    server: SmtpServer, mailbox: Mailbox
) -> None:
    mailbox.refuse[ADA] = ["550 5.1.1 no such mailbox"]
    with pytest.raises(PermanentError, match=rf"{ADA}.*550 5.1.1 no such mailbox"):
        send(server)


@pytest.mark.parametrize(
    ("answer", "error"),
    [("452 4.3.1 disk full", TransientError), ("554 5.6.0 no spam please", PermanentError)],
)
def test_an_answer_to_the_mail_itself_counts_likewise(
    server: SmtpServer, mailbox: Mailbox, answer: str, error: type[Exception]
) -> None:
    mailbox.at_data = [answer]
    with pytest.raises(error, match=answer):
        send(server)
    assert mailbox.mails == []


def test_nobody_listening_can_be_tried_again() -> None:
    with pytest.raises(TransientError, match=r"127\.0\.0\.1"):
        send(SmtpServer("127.0.0.1", free_port(), timeout=2))


def test_a_password_is_given_where_there_is_one() -> None:
    with Mailbox(password="hunter2") as box:
        send(SmtpServer("127.0.0.1", box.port, "turnout", "hunter2", timeout=5))
        assert (len(box.mails), box.signed_in) == (1, 1)


def test_a_wrong_password_is_a_permanent_error_that_does_not_show_it() -> None:
    with (
        Mailbox(password="hunter2") as box,
        pytest.raises(PermanentError, match=r"535.*check user and password") as caught,
    ):
        send(SmtpServer("127.0.0.1", box.port, "turnout", "letmein", timeout=5))
    assert "letmein" not in str(caught.value)


def test_starttls_that_is_required_and_not_offered_is_refused(server: SmtpServer, mailbox: Mailbox) -> None:
    with pytest.raises(PermanentError, match="offers no STARTTLS"):
        send(SmtpServer("127.0.0.1", mailbox.port, encryption="required", timeout=5))
    assert mailbox.mails == []


def test_a_server_elsewhere_gets_no_password_in_the_clear() -> None:
    elsewhere = SmtpMailer(SmtpServer("mail.example.org", 587, "ci", "hunter2"))
    with pytest.raises(PermanentError, match="offers no STARTTLS"):
        elsewhere._starts_tls(offered=False)
    assert elsewhere._starts_tls(offered=True)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that is its own authority, and its key."""
    require("openssl", shutil.which("openssl") is not None, "apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificate")
    made, key = folder / "certificate.pem", folder / "key.pem"
    asked = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    asked += ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(made)]
    subprocess.run(["openssl", *asked], check=True, capture_output=True)
    return made, key


@pytest.fixture
def context(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    found = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    found.load_cert_chain(*certificate)
    return found


@pytest.mark.real
class TestEncryption:
    def test_starttls_encrypts_mail_and_password(
        self, certificate: tuple[Path, Path], context: ssl.SSLContext
    ) -> None:
        with Mailbox(tls=context, password="hunter2") as box:
            server = SmtpServer(
                "127.0.0.1", box.port, "turnout", "hunter2", "required", str(certificate[0]), timeout=5
            )
            send(server)
            assert (box.encrypted, box.signed_in) == ([True], 1)

    def test_implicit_tls_encrypts_from_the_first_byte(
        self, certificate: tuple[Path, Path], context: ssl.SSLContext
    ) -> None:
        with Mailbox(implicit_tls=context) as box:
            send(
                SmtpServer(
                    "127.0.0.1", box.port, encryption="implicit", ca_file=str(certificate[0]), timeout=5
                )
            )
            assert len(box.mails) == 1

    def test_a_certificate_that_nobody_trusts_is_a_permanent_error(self, context: ssl.SSLContext) -> None:
        with (
            Mailbox(tls=context) as box,
            pytest.raises(PermanentError, match=r"certificate of .* is not trusted.*\?ca="),
        ):
            send(SmtpServer("127.0.0.1", box.port, encryption="required", timeout=5))


def test_an_authority_file_that_is_not_there_is_a_permanent_error(mailbox: Mailbox) -> None:
    server = SmtpServer("127.0.0.1", mailbox.port, encryption="implicit", ca_file="/no/such/file", timeout=5)
    with pytest.raises(PermanentError, match=r"/no/such/file can't be read"):
        send(server)
