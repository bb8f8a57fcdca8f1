"""Cloud SQL's side of PostgreSQL: TLS, roles named after accounts, and an account's access token as its password."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, Sequence

import psycopg
from psycopg import sql

from local.certificates import Authority
from local.google.accounts import Accounts, Token
from local.postgres.server import Postgres

DATABASE = "turnout"
OWNER = "cloudsqlsuperuser"


class CloudSql:
    """A running server, with a database of Terraform's. ``roles``: of the plan. Only TLS is taken from outside."""

    def __init__(
        self, server: Postgres, authority: Authority, roles: Mapping[str, Sequence[str]], accounts: Accounts
    ) -> None:
        self._server, self._roles, self._accounts = server, roles, accounts
        server.create_database(DATABASE)
        self._encrypt(authority)
        with self.as_provider() as connection:
            connection.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(OWNER)))
            connection.execute(
                sql.SQL("ALTER DATABASE {} OWNER TO {}").format(
                    sql.Identifier(DATABASE), sql.Identifier(OWNER)
                )
            )
            for name, groups in roles.items():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(name)))
                for group in groups:
                    connection.execute(
                        sql.SQL("GRANT {} TO {}").format(sql.Identifier(group), sql.Identifier(name))
                    )

    @property
    def place(self) -> str:
        return f"127.0.0.1:{self._server.port}"

    @property
    def url(self) -> str:
        """SQLAlchemy's, as the server's own user."""
        return f"{self._server.url.rpartition('/')[0]}/{DATABASE}"

    def as_provider(self) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(self.url.replace("+psycopg", ""), autocommit=True)

    def as_account(self, email: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=self._server.port,
            dbname=DATABASE,
            user=role_of(email),
            password=self._accounts.token(email).text,
            sslmode="require",
            autocommit=True,
        )

    def know(self, token: Token) -> None:
        """From now on it is its account's password. One that was before is none any more, unlike at Google's."""
        name = role_of(token.email)
        if name in self._roles:
            with self.as_provider() as connection:
                connection.execute(
                    sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(name), sql.Literal(token.text))
                )

    def _encrypt(self, authority: Authority) -> None:
        file = self._server.folder / "server.pem"
        file.touch(mode=0o600)
        file.write_text(authority.certificate("127.0.0.1"))
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(file, account.pw_uid, account.pw_gid)
        with self.as_provider() as connection:
            for setting in ("ssl_cert_file", "ssl_key_file"):
                connection.execute(
                    sql.SQL("ALTER SYSTEM SET {} = {}").format(
                        sql.Identifier(setting), sql.Literal(str(file))
                    )
                )
            connection.execute("ALTER SYSTEM SET ssl = on")
            connection.execute("ALTER SYSTEM SET log_statement = 'all'")
            connection.execute("ALTER SYSTEM SET log_line_prefix = '%u|%e|'")
            connection.execute("SELECT pg_reload_conf()")

    @property
    def log(self) -> str:
        return self._server.log.read_text(errors="replace")


def role_of(email: str) -> str:
    """As Cloud SQL calls a service account."""
    return email.removesuffix(".gserviceaccount.com")
