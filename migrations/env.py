"""Alembic's entry: migrates the connection it is given, else the database of the settings."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection

from store.engine import connect, for_writing
from store.schema.columns import metadata
from store.settings import Settings


def migrate(connection: Connection) -> None:
    context.configure(
        connection=connection,
        target_metadata=metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        compare_type=True,
        compare_server_default=True,
    )
    with context.begin_transaction():
        context.run_migrations()


given = context.config.attributes.get("connection")
if given is not None:
    migrate(given)
else:
    with for_writing(connect(Settings().database)).begin() as own:
        migrate(own)
