"""Signing in to a server whose password changes, as an access token does."""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url

from tests.conftest import RunningPostgres
from tests.contracts.store_runs import Story, at
from tests.metadata_server import MetadataServer
from turnout.adapters import google_metadata
from turnout.adapters.embedded_log.wake_postgres import NotifyBell
from turnout.adapters.settings import Settings, read_settings
from turnout.adapters.store.database import Database
from turnout.adapters.store.schema import migrate
from turnout.adapters.store.sql_store import SqlStore
from turnout.core.errors import PermanentError, TransientError
from turnout.wiring import Wiring


@dataclass
class Role:
    """``owner``: the URL of who may change the role's password."""

    name: str
    owner: str
    database: str

    def change(self, password: str) -> None:
        self._do(sql.SQL("ALTER ROLE {} PASSWORD {}"), sql.Literal(password))

    def cut_off(self) -> None:
        """End the connections that it has."""
        with self._as_owner() as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = %s",
                (self.name,),
            )

    def _do(self, statement: sql.SQL, *more: sql.Composable) -> None:
        with self._as_owner() as connection:
            connection.execute(statement.format(sql.Identifier(self.name), *more))

    def _as_owner(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.owner.replace("+psycopg", ""), autocommit=True)


@pytest.fixture
def role(postgres: RunningPostgres, postgres_database: str) -> Iterator[Role]:
    """Without rights of its own, and its database's URL without a password. Its name is as Cloud SQL gives one."""
    made = Role(f"turnout-{uuid.uuid4().hex}@acme.iam", postgres_database, "")
    made.database = make_url(postgres_database).set(username=made.name, password=None).render_as_string()
    made._do(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}"), sql.Literal(secrets.token_hex(8)))
    yield made
    made.cut_off()
    made._do(sql.SQL("DROP OWNED BY {}"))
    made._do(sql.SQL("DROP ROLE {}"))


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[MetadataServer]:
    with MetadataServer(lasts=1) as server:  # so short that each connection asks for another
        monkeypatch.setenv("GCE_METADATA_HOST", server.host)
        google_metadata.metadata.cache_clear()
        yield server
        google_metadata.metadata.cache_clear()


def settings(role: Role, **more: str) -> Settings:
    given = {f"TURNOUT_{name.upper()}": value for name, value in more.items()}
    return read_settings({"HOME": "/nowhere", "TURNOUT_DATABASE_URL": role.database, **given})


def store_of(given: Settings) -> SqlStore:
    return Wiring(given).store


def test_each_connection_is_made_with_the_accounts_token_of_then(role: Role, google: MetadataServer) -> None:
    migrate(role.owner, [role.name])
    store = store_of(settings(role, database_identity="google"))
    for token in ("ya29.first", "ya29.second"):
        role.change(token)
        google.token = token
        story = Story(store, token)
        story.begin(inbox=token)  # straight to the driver
        assert next(row.id for row in store.runs()) == story.id  # through SQLAlchemy
        role.cut_off()
    asked = google.asked
    assert asked >= 4
    role.change("another")
    with pytest.raises(TransientError, match="password authentication failed"):
        store.seen("first")
    assert google.asked > asked
    store.close()


def test_the_listener_for_wake_ups_signs_in_like_everybody(role: Role, google: MetadataServer) -> None:
    role.change(google.token)
    given = settings(role, database_identity="google")
    database = Database(given.store_url, password=given.sign_in())
    listener = NotifyBell(database).listen({"agent.results"})
    listener.close()
    google.token = "of nobody"
    with pytest.raises(TransientError, match="password authentication failed"):
        NotifyBell(database).listen({"agent.results"})


def test_without_a_token_the_message_is_to_come_again(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GCE_METADATA_HOST", "127.0.0.1:1")
    google_metadata.metadata.cache_clear()
    store = store_of(settings(role, database_identity="google"))
    for ask in (lambda: store.seen("x"), store.runs):
        with pytest.raises(TransientError, match="metadata server"):
            ask()
    google_metadata.metadata.cache_clear()


def test_a_password_may_stand_beside_the_url_in_a_file(role: Role, tmp_path: Path) -> None:
    role.change("s p/a?c@e")
    (tmp_path / "password").write_text("s p/a?c@e\n")
    migrate(role.owner, [role.name])
    store = store_of(settings(role, database_password_file=str(tmp_path / "password")))
    assert not store.seen("x")
    assert store.runs() == []
    store.close()


def test_a_role_that_the_tables_are_opened_to_can_do_all_but_change_them(role: Role) -> None:
    role.change("secret")
    given = settings(role, database_password="secret", migrate="job")
    migrate(role.owner)
    database = Database(given.store_url, password=given.sign_in())
    with pytest.raises(PermanentError, match="permission denied"), database.read() as connection:
        connection.exec_driver_sql("SELECT count(*) FROM runs")
    assert migrate(role.owner, [role.name]) == ()
    store = store_of(given)
    story = Story(store, "a")
    story.begin(inbox="m1")
    story.launch()
    assert store.load(story.id) == story.state
    assert store.prune(at(90 * 24 * 3600)) == 2
    with pytest.raises(PermanentError, match="must be owner"), database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE runs ADD COLUMN mine text")
    database.close()
    store.close()


def test_who_makes_the_tables_has_a_name_as_cloud_sql_gives_one(role: Role) -> None:
    role._do(sql.SQL("GRANT CREATE, USAGE ON SCHEMA public TO {}"))
    role.change("secret")
    migrate(make_url(role.database).set(password="secret").render_as_string(False), ["turnout"])


def test_a_role_that_there_is_not_is_named_before_anything_is_granted(role: Role) -> None:
    with pytest.raises(PermanentError, match="no role 'nobody'") as caught:
        migrate(role.owner, [role.name, "nobody"])
    assert "TURNOUT_DATABASE_ROLES" in caught.value.hint
