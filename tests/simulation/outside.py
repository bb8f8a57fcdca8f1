"""What is not ours: Slack, GitHub's list of deliveries, and whoever asks us for something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.simulation.kernel import EPOCH, Kernel
from turnout.core.ports.ledger import Head, Listed
from turnout.core.run import Run
from turnout.reporting import slack_channel
from turnout.reporting.slack_blocks import SlackMessage
from turnout.reporting.trouble import troubles


@dataclass(slots=True)
class Posted:
    reference: str
    channel: str
    thread: str
    at: float
    message: Mapping[str, Any]

    @property
    def run(self) -> str:
        return str(self.message["metadata"]["event_payload"]["run"])

    @property
    def fact(self) -> str:
        return str(self.message["metadata"]["event_payload"]["fact"])


@dataclass
class Slack:
    """`turnout.reporting.slack_channel.Chat`: keeps the messages."""

    kernel: Kernel
    messages: list[Posted] = field(default_factory=list)

    def post(self, channel: str, message: Mapping[str, Any]) -> str:
        return self._add(channel, "", message)

    def reply(self, to: str, message: Mapping[str, Any]) -> str:
        return self._add(self._named(to).channel, to, message)

    def update(self, reference: str, message: Mapping[str, Any]) -> bool:
        self._named(reference).message = message
        return True

    def find(self, channel: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        return self._search("", metadata, since)

    def find_reply(self, to: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        return self._search(to, metadata, since)

    def _add(self, channel: str, thread: str, message: Mapping[str, Any]) -> str:
        posted = Posted(f"C:{len(self.messages)}", channel, thread, self.kernel.now, message)
        self.messages.append(posted)
        return posted.reference

    def _named(self, reference: str) -> Posted:
        return self.messages[int(reference.partition(":")[2])]

    def _search(self, thread: str, metadata: Mapping[str, Any], since: datetime) -> str | None:
        oldest = (since - EPOCH).total_seconds() - 600.0
        for each in self.messages:
            if each.thread == thread and each.at >= oldest and each.message["metadata"] == metadata:
                return each.reference
        return None


@dataclass
class Tries:
    """`turnout.core.ports.ledger.Hooks`: what GitHub tried to deliver, and what it was asked for again."""

    kernel: Kernel
    listed: list[Listed] = field(default_factory=list)
    wanted: set[str] = field(default_factory=set)

    def note(self, guid: str, code: int) -> None:
        at = EPOCH + timedelta(seconds=self.kernel.now)
        self.listed.append(Listed(guid, "app", len(self.listed), at, "push", code in (200, 202), code))

    def hooks(self) -> tuple[Sequence[str], Mapping[str, str]]:
        return ("app",), {}

    def page(self, hook: str, cursor: str = "") -> tuple[Sequence[Listed], str]:
        """Three a page: a world has few."""
        assert hook == "app"
        newest = [each for each in reversed(self.listed) if not cursor or each.number <= int(cursor)]
        return newest[:3], str(newest[3].number) if len(newest) > 3 else ""

    def heads(self) -> tuple[Sequence[Head], Mapping[str, str]]:
        return (), {}

    def again(self, hook: str, number: int) -> None:
        assert hook == "app"
        self.wanted.add(self.listed[number].guid)


def drawn(run: Run) -> str:
    """All that a message about the run would show of it."""
    stages = (f"{name} {each.status.value} {each.outcome}" for name, each in run.stages.items())
    return f"{run.id} {run.status.value} {run.outcome}: {', '.join(stages)}"


def _look(run: Run, **_: str) -> Run:
    return run


def _card(run: Run, **_: object) -> SlackMessage:
    return SlackMessage("card", drawn(run), ())


def _details(run: Run) -> tuple[SlackMessage, ...]:
    return tuple(SlackMessage(f"attempt:{each.attempt}", each.title, ()) for each in troubles(run))


DRAWN = ((slack_channel, "look", _look), (slack_channel, "card", _card), (slack_channel, "details", _details))
"""What draws a run for people takes most of the time of a report; here it is one line."""
