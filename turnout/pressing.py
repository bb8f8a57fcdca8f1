"""The use case of a button that somebody presses in a chat: it goes where REST and the pages go, and whoever is refused
is told so, and nobody else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from turnout.acting import Acting, Actor
from turnout.core.errors import InvalidConfig, TurnoutError
from turnout.core.ports import Store
from turnout.core.run import Run


@dataclass(frozen=True, slots=True)
class Press:
    """``account``: who, as the chat calls them. ``id``: of this one press."""

    verb: Literal["approve", "reject"]
    run: str
    stage: str
    account: str
    channel: str
    id: str


class Whispering(Protocol):
    def whisper(self, channel: str, account: str, text: str) -> None:
        """To one person, where only they see it."""
        ...


@dataclass(frozen=True)
class Pressing:
    """``accounts``: whose are whose, in all projects; a project's file has more."""

    store: Store
    acting: Acting
    chat: Whispering
    accounts: Mapping[str, str]

    def press(self, press: Press) -> str:
        """What the person was told; empty: it is done. Also what could be tried again they are told: they do it."""
        try:
            self._press(press)
        except TurnoutError as error:
            self.chat.whisper(press.channel, press.account, str(error))
            return str(error)
        return ""

    def _press(self, press: Press) -> None:
        """Raises: TurnoutError."""
        run = self.store.load(press.run)
        if run is None:
            raise TurnoutError(f"there is no run {press.run[:8]}")
        login = self._login(press.account, run)
        if not login:
            reason = f"nobody has said whose Slack account {press.account} is"
            self.acting.refused(
                press.account, "slack", press.verb, f"{run.id} {press.stage}", run.project, reason
            )
            raise TurnoutError(
                reason, f"an admin adds it under `people` in the project file of {run.project}"
            )
        by = Actor(self.acting.identity.of_login(login, "slack"), f"slack:{press.account}", press.id)
        self.acting.decide(by, press.verb, run, press.stage)

    def _login(self, account: str, run: Run) -> str:
        try:
            project = self.acting.identity.find(run.project)
        except InvalidConfig:
            project = None
        named = project.people.get(account, "") if project else ""
        return named.lstrip("@") or self.accounts.get(account, "")
