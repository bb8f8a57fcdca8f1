"""A real SMTP server on this machine, which keeps what it is given and refuses what it is told to."""

from __future__ import annotations

import ssl
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from types import TracebackType
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from local.server_process import free_port

ACCEPTED = "250 OK"


@dataclass
class Mailbox:
    """``refuse``: recipient to the answer that it gets, once for each mention. ``at_data``: answers to the next mails.

    ``tls``: offered as STARTTLS. ``password``: of user ``turnout``, asked for where there is ``tls``.
    ``signed_in``: how many times somebody gave it.
    """

    refuse: dict[str, list[str]] = field(default_factory=dict)
    at_data: list[str] = field(default_factory=list)
    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    tls: ssl.SSLContext | None = None
    implicit_tls: ssl.SSLContext | None = None
    password: str = ""
    signed_in: int = 0
    port: int = field(default_factory=free_port)

    def __enter__(self) -> Self:
        options: dict[str, Any] = {"tls_context": self.tls}
        if self.password:
            encrypted = self.tls is not None
            options |= {
                "authenticator": self._authenticate,
                "auth_required": encrypted,
                "auth_require_tls": encrypted,
            }
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            ready_timeout=10,
            ssl_context=self.implicit_tls,
            **options,
        )
        self._controller.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._controller.stop()

    def _authenticate(
        self, server: SMTP, session: Session, envelope: Envelope, mechanism: str, given: Any
    ) -> AuthResult:
        right = isinstance(given, LoginPassword) and (given.login, given.password) == (
            b"turnout",
            self.password.encode(),
        )
        self.signed_in += right
        return AuthResult(success=right, handled=False)

    # The names below are aiosmtpd's.

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        answers = self.refuse.get(address)
        if answers:
            return answers.pop(0)
        envelope.rcpt_tos.append(address)
        return ACCEPTED

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        if self.at_data:
            answer = self.at_data.pop(0)
            if answer != ACCEPTED:
                return answer
        content = envelope.content
        assert isinstance(content, bytes)
        mail = message_from_bytes(content, policy=default)
        assert isinstance(mail, EmailMessage)
        self.mails.append(mail)
        self.recipients.extend(envelope.rcpt_tos)
        self.encrypted.append(session.ssl is not None)
        return ACCEPTED
