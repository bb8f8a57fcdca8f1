"""Alembic's way in. The connection, and the transaction that holds all of an upgrade, come from `schema.migrate`."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from turnout.adapters.store.tables import METADATA


def run(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=METADATA,
        transactional_ddl=False,  # the caller's transaction is the one
        render_as_batch=connection.dialect.name == "sqlite",
    )
    context.run_migrations()


run(context.config.attributes["connection"])
