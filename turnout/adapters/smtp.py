"""E-mail handed over to an SMTP server. Source: RFC 5321, §4.2.1 (what 4xx and 5xx mean)."""

from __future__ import annotations

import smtplib
import ssl
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Literal, assert_never
from urllib.parse import parse_qs, unquote, urlsplit

from turnout.core.errors import PermanentError, TransientError
from turnout.core.hosts import is_loopback

Encryption = Literal["implicit", "required", "auto", "never"]

TIMEOUT = 10.0
"""Seconds to connect, and for each answer."""
PORTS = {"smtp": 587, "smtps": 465}


@dataclass(frozen=True, slots=True)
class SmtpServer:
    """``encryption``: ``implicit`` TLS from the first byte; else STARTTLS: ``required``, ``never``, or ``auto``: used
    where offered, required where a password is sent, left out on this machine. ``ca_file``: certificates to trust,
    empty: the system's. ``timeout`` in seconds."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    encryption: Encryption = "auto"
    ca_file: str = ""
    timeout: float = TIMEOUT

    @property
    def local(self) -> bool:
        return is_loopback(self.host)


def read_smtp_url(url: str) -> SmtpServer:
    """``smtp://user:password@host:587?starttls=required&ca=/path&timeout=10``, or ``smtps://…`` for implicit TLS.

    User and password are percent-encoded. Raises: PermanentError, which never shows the password.
    """
    form = "write smtp://user:password@host:port?starttls=required, or smtps://user:password@host:port"
    try:
        parts = urlsplit(url)
        port = parts.port
        asked = {
            name: values[-1]
            for name, values in parse_qs(parts.query, strict_parsing=bool(parts.query)).items()
        }
    except ValueError as error:
        raise PermanentError("TURNOUT_SMTP_URL can't be read as a URL", form) from error
    if parts.scheme not in PORTS or not parts.hostname:
        raise PermanentError("TURNOUT_SMTP_URL: expected smtp:// or smtps:// and a host", form)
    if unknown := sorted(set(asked) - {"starttls", "ca", "timeout"}):
        raise PermanentError(
            f"TURNOUT_SMTP_URL: unknown: {', '.join(unknown)}", "known: starttls, ca, timeout"
        )
    return SmtpServer(
        host=parts.hostname,
        port=port or PORTS[parts.scheme],
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        encryption="implicit" if parts.scheme == "smtps" else _starttls(asked.get("starttls", "auto")),
        ca_file=asked.get("ca", ""),
        timeout=_seconds(asked.get("timeout", str(TIMEOUT))),
    )


def _starttls(text: str) -> Encryption:
    match text:
        case "required" | "auto" | "never":
            return text
        case _:
            raise PermanentError(f"TURNOUT_SMTP_URL: starttls={text}", "expected required, auto or never")


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 60:
        raise PermanentError(f"TURNOUT_SMTP_URL: timeout={text}", "expected seconds, above 0 and at most 60")
    return found


@dataclass(frozen=True, slots=True)
class SmtpMailer:
    """A connection a mail: functions come and go, and a mail is rare."""

    server: SmtpServer

    def send(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Return once the server has taken responsibility for the mail.

        Raises: TransientError (no connection, 4xx; after a lost connection the mail may have been taken);
        PermanentError (5xx, wrong password, certificate not trusted, no STARTTLS where it is required).
        """
        where = f"{self.server.host}:{self.server.port}"
        try:
            connection = self._connect()
            try:
                connection.send_message(mail, sender, [recipient])
            finally:
                _leave(connection)
        except smtplib.SMTPRecipientsRefused as error:
            code, text = next(iter(error.recipients.values()))
            raise _translated(code, text, f"mail to {recipient} was refused by {where}") from error
        except smtplib.SMTPAuthenticationError as error:
            raise _translated(error.smtp_code, error.smtp_error, f"signing in to {where}") from error
        except smtplib.SMTPResponseException as error:
            raise _translated(error.smtp_code, error.smtp_error, f"mail to {recipient} at {where}") from error
        except smtplib.SMTPNotSupportedError as error:
            raise PermanentError(f"mail to {recipient}: {where} can't: {error}") from error
        except ssl.SSLCertVerificationError as error:
            raise PermanentError(
                f"the certificate of {where} is not trusted: {error.verify_message}",
                "name its authority with ?ca=/path in TURNOUT_SMTP_URL",
            ) from error
        except (OSError, smtplib.SMTPException) as error:
            raise TransientError(f"mail to {recipient}: {where}: {error}") from error

    def _connect(self) -> smtplib.SMTP:
        server = self.server
        name = "localhost" if server.local else None  # None: our full name, which may need the DNS
        if server.encryption == "implicit":
            tls = self._tls()
            connection: smtplib.SMTP = smtplib.SMTP_SSL(
                server.host, server.port, name, timeout=server.timeout, context=tls
            )
        else:
            connection = smtplib.SMTP(server.host, server.port, name, timeout=server.timeout)
        try:
            connection.ehlo_or_helo_if_needed()
            if self._starts_tls(connection.has_extn("starttls")):
                connection.starttls(context=self._tls())
                connection.ehlo()
            if server.user:
                connection.login(server.user, server.password)
        except BaseException:
            connection.close()
            raise
        return connection

    def _starts_tls(self, offered: bool) -> bool:
        server = self.server
        match server.encryption:
            case "implicit" | "never":
                return False
            case "auto" if server.local:
                return False
            case "auto" if not server.password:
                return offered
            case "auto" | "required":
                if not offered:
                    raise PermanentError(
                        f"{server.host} offers no STARTTLS",
                        "use smtps://, or say ?starttls=never to send mail and password in the clear",
                    )
                return True
            case _:
                assert_never(server.encryption)

    def _tls(self) -> ssl.SSLContext:
        try:
            return ssl.create_default_context(cafile=self.server.ca_file or None)
        except OSError as error:
            raise PermanentError(
                f"{self.server.ca_file} can't be read: {error}", "check ?ca= in TURNOUT_SMTP_URL"
            ) from error


def _leave(connection: smtplib.SMTP) -> None:
    try:
        connection.quit()
    except (OSError, smtplib.SMTPException):
        connection.close()  # whether the mail was taken is settled already


def _translated(code: int, text: bytes | str, what: str) -> PermanentError | TransientError:
    said = text.decode(errors="replace") if isinstance(text, bytes) else text
    message = f"{what}: {code} {' '.join(said.split())[:300]}"
    if 500 <= code < 600:
        hint = "check user and password in TURNOUT_SMTP_URL" if code in (530, 534, 535) else ""
        return PermanentError(message, hint)
    return TransientError(message)
