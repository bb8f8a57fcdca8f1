"""Slack: one message a run, kept up to date, and the details in its thread."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from turnout.core.errors import TransientError
from turnout.core.run import Run
from turnout.reporting.current import Report, read
from turnout.reporting.deliver import Told
from turnout.reporting.ledger import SENDING, SENT, Change, Ledger
from turnout.reporting.policy import is_told, notify
from turnout.reporting.slack_blocks import SlackMessage, card, details, metadata, to_json
from turnout.reporting.view import look

CARD = "card"
MAX_ROUNDS = 5
"""Updates after one another that found a newer run each time."""


class Chat(Protocol):
    """Slack's Web API, as far as it is needed. A reference names a message: its channel and its time stamp."""

    def post(self, channel: str, message: Mapping[str, Any]) -> str:
        """``message``: text, blocks, metadata."""
        ...

    def reply(self, to: str, message: Mapping[str, Any]) -> str: ...

    def update(self, reference: str, message: Mapping[str, Any]) -> bool:
        """False: the message isn't there any more."""
        ...

    def find(self, channel: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        """The message of the channel with exactly this metadata, posted not long before ``since`` or after it."""
        ...

    def find_reply(self, to: str, metadata: Mapping[str, Any], since: datetime) -> str | None: ...


@dataclass(frozen=True, slots=True)
class SlackChannel:
    """``default``: where runs are told whose pipeline file names no channel. ``console``: base URL for links.
    ``pressed``: somebody hears of buttons that are pressed."""

    chat: Chat
    default: str = ""
    console: str = ""
    pressed: bool = False
    name: str = field(default="slack", init=False)

    def silent(self, run: Run) -> str:
        place = self._place(run)
        return "" if place else "no channel: set notify.slack in the pipeline file, or TURNOUT_SLACK_CHANNEL"

    def tell(self, report: Report, ledger: Ledger) -> Told:
        place = self._place(report.run)
        if not is_told(report.run, report.previous) and not self._is_there(report.run, ledger, place):
            return Told.nothing("not asked for")
        reference, shown = self._card(report, ledger, place)
        for each in details(look(shown.run, previous=shown.previous, console=self.console)):
            self._detail(each, shown.run, ledger, reference)
        return Told.sent(reference)

    def _is_there(self, run: Run, ledger: Ledger, place: str) -> bool:
        """Whether people see a message about the run, also one of a try whose answer never came."""
        if ledger.begun(CARD):
            return True
        first = ledger.first_try(CARD)
        return first is not None and self.chat.find(place, metadata(CARD, run.id), first) is not None

    def _place(self, run: Run) -> str:
        return notify(run).slack or self.default

    def _card(self, report: Report, ledger: Ledger, place: str) -> tuple[str, Report]:
        """Post the message, or bring it up to date; its reference, and what it shows."""
        with ledger.change() as change:
            return self._shown(report, ledger, place, change)

    def _shown(self, report: Report, ledger: Ledger, place: str, change: Change) -> tuple[str, Report]:
        overtaken = False
        for _ in range(MAX_ROUNDS):
            run = report.run
            view = look(run, previous=report.previous, console=self.console)
            message = to_json(card(view, pressed=self.pressed), run.id)
            made: list[str] = []
            reference = ledger.once(
                CARD,
                run.version,
                partial(self._make, place, message, change, made),
                partial(self.chat.find, place, message["metadata"]),
            )
            if made and (fresh := read(ledger.reports, run.id)).run.version > run.version:
                report = fresh  # who told of it meanwhile saw no message that had to be kept up to date
                continue
            row = ledger.find(CARD)
            known = row is not None and row.status == SENT and row.version >= run.version
            if known and not overtaken and (made or not ledger.unfinished()):
                if made:
                    change.end()
                return reference, report
            change.begin()
            row = ledger.find(CARD)
            if row is not None and row.reference == reference and row.version > run.version:
                report = read(ledger.reports, run.id)  # told before we were seen to be at it
                continue
            # Where a newer state is told from now on, that stays, and is seen below.
            ledger.settle({CARD: run.version}, SENDING, reference)
            if not self.chat.update(reference, message):
                ledger.forget(CARD)  # somebody deleted it: post it anew
                continue
            row = ledger.find(CARD)
            if row is not None and row.version == run.version and row.reference == reference:
                ledger.record(CARD, SENT, reference, run.version)
                change.end()
                return reference, report
            # Somebody else was at it meanwhile, and ours may have come last: show the newest state.
            overtaken, report = True, read(ledger.reports, run.id)
        raise TransientError(
            f"slack: the message of run {report.run.id} is being changed by others, come back later"
        )

    def _make(self, place: str, message: Mapping[str, Any], change: Change, made: list[str]) -> str:
        """Post it, and note that in ``made``."""
        change.begin()
        made.append(self.chat.post(place, message))
        return made[-1]

    def _detail(self, each: SlackMessage, run: Run, ledger: Ledger, reference: str) -> None:
        message = to_json(each, run.id)
        ledger.once(
            f"thread:{each.key}",
            run.version,
            partial(self.chat.reply, reference, message),
            partial(self.chat.find_reply, reference, message["metadata"]),
        )
