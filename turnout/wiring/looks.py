"""What people and programs look at, and what they do: the parts behind the console and the command line."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from turnout.wiring.channels import Channels
from turnout.wiring.people import OfPeople

if TYPE_CHECKING:
    from turnout.acting import Acting
    from turnout.adapters.slack_buttons import SlackButtons
    from turnout.commanding import Commands
    from turnout.looking import Looking
    from turnout.metering import Metering
    from turnout.starting import Starting


class LooksAndActs(Channels, OfPeople):
    @cached_property
    def commands(self) -> Commands:
        from turnout.commanding import Commands

        return Commands(self.store, self._outbox_producer, self.clock)

    @cached_property
    def starting(self) -> Starting:
        from turnout.starting import Starting

        def tip(project: str, clone_url: str, branch: str) -> str:
            credential = self.checkout_credential(project, clone_url)
            return self.mirrors.of(clone_url, credential).fetch_branch(branch)

        return Starting(self.store, self.projects, tip)

    @cached_property
    def looking(self) -> Looking:
        from turnout.core.topics import AGENT_REPORT, AGENT_RESULTS, PIPELINE_EVENTS, agent_topic
        from turnout.looking import Looking

        s = self.settings
        tasks = {kind: (agent_topic(kind),) for kind in s.kinds}
        launched = [topic for topics in tasks.values() for topic in topics] if s.runtimes else []
        groups = {"functions": (PIPELINE_EVENTS, AGENT_RESULTS, AGENT_REPORT, *launched)}
        if not launched:
            groups |= {f"agents.{kind}": topics for kind, topics in tasks.items()}
        return Looking(
            self.store,
            self.artifacts,
            lambda: self.bus,
            groups,
            self.clock,
            self.figuring,
            self.known_deliveries,
            self.auditing.account,
        )

    @cached_property
    def metering(self) -> Metering:
        from importlib.metadata import version

        from turnout.metering import Metering

        groups = self.looking.groups
        return Metering(
            self.figures, self.auditing.last, lambda: self.bus, groups, self.clock, version("turnout")
        )

    @cached_property
    def acting(self) -> Acting:
        from turnout.acting import Acting
        from turnout.commanding import Commands
        from turnout.redriving import discard, redrive

        return Acting(
            self.identity,
            Commands(self.store, self._outbox_producer, self.clock, "/turnout/console"),
            lambda letters: redrive(self.bus, letters),
            lambda letters: discard(self.bus, letters),
        )

    @cached_property
    def slack_buttons(self) -> SlackButtons | None:
        """None: nobody has said what Slack signs with, or we can't answer there."""
        s = self.settings
        secret = s.slack_signing_secret.get_secret_value()
        if not secret or not s.slack_token.get_secret_value():
            return None
        from turnout.adapters.slack_buttons import SlackButtons
        from turnout.pressing import Pressing

        pressing = Pressing(self.store, self.acting, self._chat(), s.slack_accounts)
        return SlackButtons(secret, self.accounts.once, pressing.press, self.clock)
