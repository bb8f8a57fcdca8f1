"""E-mail: one mail to each address when a run has ended, and when a stage waits for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from typing import Protocol

from turnout.core.errors import PermanentError
from turnout.core.run import Run
from turnout.reporting.current import Report
from turnout.reporting.deliver import Told, run_all
from turnout.reporting.email_text import address, compose, is_address, message_id
from turnout.reporting.ledger import Ledger
from turnout.reporting.policy import end_is_told, notify
from turnout.reporting.view import RunView, Wanted, look


class Mailer(Protocol):
    def send(self, mail: EmailMessage, sender: str, recipient: str) -> None:
        """Hand the mail over to the server, for one recipient.

        Raises: TransientError, PermanentError.
        """
        ...


@dataclass(frozen=True, slots=True)
class EmailChannel:
    """``sender``: the address that mails come from. ``console``: base URL for links.

    Raises: PermanentError for a sender that is no plain address.
    """

    mailer: Mailer
    sender: str
    console: str = ""
    name: str = field(default="email", init=False)

    def __post_init__(self) -> None:
        if not is_address(self.sender):
            raise PermanentError(
                f"e-mail: the sender {self.sender!r} is not an address",
                "set TURNOUT_MAIL_FROM to name@example.org, without a display name",
            )

    def silent(self, run: Run) -> str:
        return "" if notify(run).email else "no addresses: set notify.email in the pipeline file"

    def tell(self, report: Report, ledger: Ledger) -> Told:
        """Every address is an effect of its own, so that one that is refused keeps none of the others waiting."""
        recipients = tuple(dict.fromkeys(notify(report.run).email))
        view = look(report.run, previous=report.previous, console=self.console)
        occasions = dict(self._occasions(report, view))
        if not occasions:
            return Told.nothing("not asked for")
        steps: list[Callable[[], object]] = [
            partial(address, each) for each in recipients if not is_address(each)
        ]
        good = [each for each in recipients if is_address(each)]
        for fact, wanted in occasions.items():
            mail = compose(view, fact=fact, wanted=wanted, sender=self.sender, to=good, at=ledger.clock.now())
            steps += [partial(self._send, ledger, report.run.version, fact, mail, each) for each in good]
        run_all(steps)
        return Told.sent(" ".join(message_id(report.run.id, fact, self.sender) for fact in occasions))

    @staticmethod
    def _occasions(report: Report, view: RunView) -> Iterator[tuple[str, Wanted | None]]:
        if report.run.finished and end_is_told(report.run, report.previous):
            yield "finished", None
        for wanted in view.wanted:
            yield f"approval:{wanted.stage}", wanted

    def _send(self, ledger: Ledger, version: int, fact: str, mail: EmailMessage, recipient: str) -> None:
        def hand_over() -> str:
            self.mailer.send(mail, self.sender, recipient)
            return str(mail["Message-ID"])

        ledger.once(f"mail:{fact}:{recipient}", version, hand_over)
