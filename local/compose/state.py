"""The stack's own folder: secrets, project files, settings. What is missing is made; what is there stays as it is."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import yaml

from turnout.adapters.settings import read_settings

MADE = ("database_password", "function_token", "server_key", "webhook_secret", "grafana_password")
"""Secrets that nobody has to know before."""
GIVEN: Mapping[str, str] = {
    "github_token": "",
    "github_app_key": "",
    "github_client_secret": "",
    "slack_token": "",
    "slack_signing_secret": "",
    "smtp_url": "smtp://mailbox:1025",
    "metrics_token": "",
}
"""Secrets that others make, and what they are until then. Empty: there is none."""
_SETTINGS = """\
# Settings of all functions, beside those of local/compose.yaml: docs/settings.md. NAME=value; then make compose-up.
# TURNOUT_SLACK_CHANNEL=#ci
# TURNOUT_CONSOLE_ADMINS=@ada
# TURNOUT_GITHUB_APP_ID=
# TURNOUT_GITHUB_CLIENT_ID=
"""
_VARIABLES = """\
# What local/compose.yaml asks for, beside what make compose-up finds out.
# WEBHOOK_PORT=8080
# CONSOLE_PORT=8090
# GRAFANA_PORT=3000
# MAILBOX_PORT=8025
# PUBLISH=127.0.0.1
# CONSOLE_URL=https://turnout.example.org
"""


class State:
    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.secrets = self.folder / "secrets"
        self.projects = self.folder / "projects"
        self.settings = self.folder / "settings.env"
        self.variables = self.folder / "compose.env"
        self.found = self.folder / "found.env"

    def prepare(self) -> None:
        """Only its owner gets into the folder of secrets. In it they are open to all: each container that is given one
        has a user of its own."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.projects.mkdir(exist_ok=True)
        self.secrets.mkdir(mode=0o700, exist_ok=True)
        self.secrets.chmod(0o700)
        for name in MADE:
            self.give(name, secrets.token_hex(32), anew=False)
        for name, value in GIVEN.items():
            self.give(name, value, anew=False)
        for file, text in ((self.settings, _SETTINGS), (self.variables, _VARIABLES)):
            if not file.exists():
                file.write_text(text)

    def give(self, name: str, value: str, *, anew: bool = True) -> None:
        """In place, so that containers that have the file see it. ``anew``: also where there is one."""
        file = self.secrets / name
        if anew or not file.exists():
            with file.open("r+" if file.exists() else "w") as opened:
                opened.write(value)
                opened.truncate()
        file.chmod(0o644)

    def secret(self, name: str) -> str:
        return (self.secrets / name).read_text().strip()

    def note(self, found: Mapping[str, str]) -> None:
        """What was found out of this machine, for Compose."""
        self.found.write_text("".join(f"{name}={value}\n" for name, value in found.items()))

    def variable(self, name: str) -> str:
        """What somebody wrote there; empty: nothing."""
        lines = (line.partition("=") for line in self.variables.read_text().splitlines())
        return next((value.strip() for key, _, value in lines if key.strip() == name), "")

    def console_token(self) -> str:
        """Whoever has the server's key is admin of its console."""
        return read_settings({"TURNOUT_SERVER_KEY": self.secret("server_key")}).console_token()

    def elsewhere(self) -> Iterator[str]:
        """Project files whose stages would wait for agents that are not here."""
        for file in sorted(self.projects.glob("*.y*ml")):
            try:
                said = yaml.safe_load(file.read_text())["project"].get("runtime")
            except (yaml.YAMLError, KeyError, TypeError, AttributeError):
                said = None
            if said != "docker":
                yield file.name
