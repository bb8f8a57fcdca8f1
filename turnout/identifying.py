"""The use case of somebody who shows who they are: tokens, browser sessions, links to sign in with once.

People of GitHub are known by their login; people of this machine, who can read the server's key, by ``local:`` and
their name, and are admins everywhere.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from turnout.asking import People
from turnout.core.access import EVERYWHERE, Role, Scope, Viewer, named_role, teams_named
from turnout.core.config_project import ProjectConfig
from turnout.core.errors import InvalidConfig, PermanentError, TransientError
from turnout.core.ports import Clock
from turnout.core.ports.accounts import Accounts, ApiToken, BrowserSession
from turnout.core.secret_words import digest, looks_right, short_id, spell

LOCAL = "local:"
SESSION_LIVES = timedelta(days=7)
SESSION_IDLES = timedelta(hours=12)
LINK_LIVES = timedelta(hours=1)
NOTED_EVERY = timedelta(minutes=1)
"""When a token or a session was last used is written down no more often than this."""
ROLES_HOLD = timedelta(minutes=1)
ROLES_HOLD_AWAY = timedelta(minutes=15)
"""What GitHub has said of a person counts for this long, the longer one while it can't be asked."""


@dataclass(frozen=True)
class Identity:
    """``find``: the project file of a repository. ``people``: who can be asked about the people of a project, None
    where nobody can. ``key``: the server's. ``admins``: logins. ``local_token``: what the ``owner`` of the home
    shows."""

    accounts: Accounts
    find: Callable[[str], ProjectConfig | None]
    people: Callable[[str], People | None]
    clock: Clock
    key: bytes
    admins: Collection[str]
    local_token: str
    owner: str
    _known: dict[tuple[str, str], tuple[datetime, Role | None]] = field(default_factory=dict, init=False)

    # --- who is it ----------------------------------------------------------------------------

    def of_bearer(self, given: str) -> Viewer | None:
        """None: it is no token of ours, or one that has ended."""
        if hmac.compare_digest(given.encode("utf-8", "backslashreplace"), self.local_token.encode()):
            return self._viewer(LOCAL + self.owner, "local")
        if not looks_right(given):
            return None
        token, now = self.accounts.token(digest(given)), self.clock.now()
        if token is None or (token.expires_at is not None and token.expires_at <= now):
            return None
        if token.used_at is None or now - token.used_at >= NOTED_EVERY:
            self.accounts.token_used(token.id, now)
        return self._viewer(token.owner, f"token:{token.name}", token.scopes, frozenset(token.projects))

    def of_session(self, cookie: str) -> tuple[BrowserSession, Viewer] | None:
        """None: there is none, or it has ended."""
        session, now = self.accounts.session(digest(cookie)), self.clock.now()
        if session is None or session.expires_at <= now or session.seen_at + SESSION_IDLES <= now:
            return None
        if now - session.seen_at >= NOTED_EVERY:
            self.accounts.session_seen(session.id, now)
        return session, self._viewer(session.person, session.via)

    def of_login(self, login: str, via: str) -> Viewer:
        """Somebody whom another party vouches for (``via``)."""
        return self._viewer(login, via)

    def _viewer(
        self,
        person: str,
        via: str,
        scopes: frozenset[Scope] | None = None,
        projects: frozenset[str] = frozenset(),
    ) -> Viewer:
        return Viewer(person.removeprefix(LOCAL), _Roles(self, person), scopes, projects, via, person)

    def teams(self, viewer: Viewer, project: str, among: Collection[str]) -> tuple[str, ...]:
        """Those of ``among`` that they belong to. Raises: TransientError where GitHub is away."""
        wanted = tuple(each for each in among if "/" in each)
        people = self.people(project) if wanted and not viewer.person.startswith(LOCAL) else None
        try:
            return people.teams(project, viewer.name, wanted) if people else ()
        except PermanentError:  # the App is not installed there, or may not look: then nobody belongs
            return ()

    def role(self, person: str, project: str) -> Role | None:
        """What they are in a project, or `EVERYWHERE`. Raises: TransientError where GitHub is away, and is needed."""
        if person.startswith(LOCAL) or person.lower() in self.admins:
            return Role.ADMIN
        if project == EVERYWHERE:
            return None
        now = self.clock.now()
        known = self._known.get((person, project))
        if known is not None and now - known[0] < ROLES_HOLD:
            return known[1]
        try:
            found = self._asked(person, project)
        except TransientError:
            if known is None or now - known[0] >= ROLES_HOLD_AWAY:
                raise
            return known[1]
        if len(self._known) >= 10_000:
            self._known.clear()
        self._known[person, project] = (now, found)
        return found

    def _asked(self, person: str, project: str) -> Role | None:
        try:
            config = self.find(project)
        except InvalidConfig:
            return None  # who may is not known: nobody but the server's admins
        if config is None or config.access is None:
            people = self.people(project)
            try:
                return Role.OPERATOR if people and people.may_write(project, person) else None
            except PermanentError:
                return None
        sure = named_role(config.access, person, ())
        teams = teams_named(config.access) if sure is not Role.ADMIN else ()
        if not teams:
            return sure
        return named_role(config.access, person, self.teams(Viewer(person, id=person), project, teams))

    def stated(self, project: str) -> bool:
        """Whether the project's file says who may do what. One that can't be read might."""
        try:
            config = self.find(project)
        except InvalidConfig:
            return True
        return config is not None and config.access is not None

    # --- sessions -----------------------------------------------------------------------------

    def open_session(self, person: str, via: str, address: str, agent: str) -> str:
        """What the browser's cookie is to hold."""
        now = self.clock.now()
        self.accounts.forget(now, now - SESSION_IDLES)
        cookie = secrets.token_urlsafe(32)
        known_by = digest(cookie)
        session = BrowserSession(
            short_id(known_by), person, via, address, agent[:200], now, now, now + SESSION_LIVES
        )
        self.accounts.open_session(session, known_by)
        return cookie

    # --- links ----------------------------------------------------------------------------------

    def link_token(self) -> str:
        """Signs the owner of the home in, once, within `LINK_LIVES`."""
        until = int((self.clock.now() + LINK_LIVES).timestamp())
        said = f"{until}.{secrets.token_hex(12)}"
        return f"{said}.{self._signed(said)}"

    def redeem(self, token: str) -> str | None:
        """The person; None: it is no link of ours, it is too old, or somebody has used it."""
        said, _, signature = token.rpartition(".")
        if not hmac.compare_digest(
            signature.encode("utf-8", "backslashreplace"), self._signed(said).encode()
        ):
            return None
        until = datetime.fromtimestamp(int(said.partition(".")[0]), tz=self.clock.now().tzinfo)
        now = self.clock.now()
        if until <= now or not self.accounts.once(digest(token), now, until):
            return None
        return LOCAL + self.owner

    def _signed(self, said: str) -> str:
        made = hmac.digest(self.key, b"console link\0" + said.encode("utf-8", "backslashreplace"), "sha256")
        return base64.urlsafe_b64encode(made).decode().rstrip("=")

    # --- tokens ---------------------------------------------------------------------------------

    def make_token(
        self,
        owner: str,
        name: str,
        scopes: frozenset[Scope],
        projects: tuple[str, ...] = (),
        expires_at: datetime | None = None,
    ) -> tuple[str, ApiToken]:
        """The token itself, which is shown this once, and what is kept of it."""
        token = spell(secrets.token_bytes(32))
        known_by = digest(token)
        kept = ApiToken(short_id(known_by), name, owner, scopes, projects, self.clock.now(), expires_at)
        self.accounts.add_token(kept, known_by)
        return token, kept


@dataclass(frozen=True, slots=True)
class _Roles(Mapping[str, Role]):
    """Asks when it is asked."""

    identity: Identity
    person: str

    def __getitem__(self, project: str) -> Role:
        found = self.identity.role(self.person, project)
        if found is None:
            raise KeyError(project)
        return found

    def __iter__(self) -> Iterator[str]:
        """That of the whole server alone: of the projects it is not known which to ask about."""
        return iter([EVERYWHERE] if self.identity.role(self.person, EVERYWHERE) else [])

    def __len__(self) -> int:
        return len(list(iter(self)))
