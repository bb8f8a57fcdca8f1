"""People before a system that knows them: project files, a stand-in for GitHub, accounts in memory, a clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from local.github.hub import Hub
from local.github.stand_in import StandIn
from turnout.adapters.config_files import ProjectFolder
from turnout.adapters.github_api import GitHubApi
from turnout.adapters.github_auth import TokenAuth
from turnout.adapters.github_people import GitHubPeople
from turnout.adapters.memory_accounts import MemoryAccounts
from turnout.core.access import Viewer
from turnout.identifying import LOCAL, Identity

SHOP = "acme/shop"
LOCAL_TOKEN = "turnout_local_x"


@dataclass
class Hands:
    at: datetime = datetime(2026, 3, 1, 12, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at

    def pass_(self, **time: float) -> None:
        self.at += timedelta(**time)


@dataclass
class People:
    """``eve`` may write to the repository, ``bob`` only read it; ``ada`` belongs to the team ``release``."""

    folder: Path
    github: StandIn
    clock: Hands = field(default_factory=Hands)
    accounts: MemoryAccounts = field(default_factory=MemoryAccounts)

    def __post_init__(self) -> None:
        self.hub: Hub = self.github.hub
        self.hub.people |= {"eve": "write", "bob": "read"}
        self.hub.teams["acme/release"] = {"ada"}
        self.api = GitHubApi(TokenAuth("ghp_plain"), self.clock, base_url=self.github.url)
        self.identity = Identity(
            accounts=self.accounts,
            find=ProjectFolder(self.folder).find,
            people=lambda project: GitHubPeople(self.api) if project == SHOP else None,
            clock=self.clock,
            key=b"key",
            admins={"root"},
            local_token=LOCAL_TOKEN,
            owner="me",
        )

    def project(self, more: str = "") -> None:
        """The project file of `SHOP`."""
        (self.folder / "shop.yml").write_text(f"project:\n  repository: {SHOP}\n{more}")

    def person(self, login: str) -> Viewer:
        return self.identity.of_login(login, "github")

    @property
    def owner(self) -> Viewer:
        return self.identity.of_login(LOCAL + "me", "local")
