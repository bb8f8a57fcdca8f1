"""The ways to people."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from turnout.wiring.github import OnGitHub

if TYPE_CHECKING:
    from turnout.adapters.slack import SlackChat
    from turnout.reporting.deliver import Channel


class Channels(OnGitHub):
    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        return (self._slack(), self._email(), self._github())

    def check_channels(self) -> None:
        """Raises: PermanentError for an address that no mail could be sent to or from."""
        self._email()

    def _slack(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        token = self.settings.slack_token.get_secret_value()
        if not token:
            return Unconfigured("slack", "set TURNOUT_SLACK_TOKEN")
        from turnout.reporting.slack_channel import SlackChannel

        s = self.settings
        pressed = bool(s.slack_signing_secret.get_secret_value())
        return SlackChannel(self._chat(), s.slack_channel, s.console_url, pressed)

    def _chat(self) -> SlackChat:
        from turnout.adapters.slack import SlackChat

        return SlackChat(self.settings.slack_token.get_secret_value(), base_url=self.settings.slack_base_url)

    def _email(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        url = self.settings.smtp_url.get_secret_value()
        if not url:
            return Unconfigured("email", "set TURNOUT_SMTP_URL")
        from turnout.adapters.smtp import SmtpMailer, read_smtp_url
        from turnout.reporting.email_channel import EmailChannel

        return EmailChannel(
            SmtpMailer(read_smtp_url(url)), self.settings.mail_from, self.settings.console_url
        )

    def _github(self) -> Channel:
        from turnout.reporting.deliver import Unconfigured

        if self.github is None:
            return Unconfigured(
                "github", "set TURNOUT_GITHUB_APP_ID and TURNOUT_GITHUB_APP_KEY, or TURNOUT_GITHUB_TOKEN"
            )
        from turnout.adapters.github_hub import GitHubHub
        from turnout.reporting.github_channel import GitHubChannel

        hub = GitHubHub(self.github)
        return GitHubChannel(lambda project: self._foreign(project) or hub, self.settings.console_url)
