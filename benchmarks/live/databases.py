"""Databases of a benchmark's own."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from store.engine import close, connect
from store.migrate import upgrade
from tests.postgres import start_postgres

ENGINES = ("sqlite", "postgresql")
FLUSHED = ("ALTER SYSTEM SET fsync = on", "ALTER SYSTEM SET full_page_writes = on", "SELECT pg_reload_conf()")


@contextmanager
def empty_database(database: str, folder: Path) -> Iterator[str]:
    """The URL of a migrated, empty database, which flushes its commits to the disk."""
    server = start_postgres() if database == "postgresql" else None
    try:
        if server is not None:
            with psycopg.connect(
                make_url(server.url("postgres")).set(drivername="postgresql").render_as_string(hide_password=False),
                autocommit=True,
            ) as admin:
                for statement in FLUSHED:
                    admin.execute(statement)
        url = f"sqlite:///{folder / 'ledger.sqlite'}" if server is None else server.create_database()
        engine = connect(url)
        upgrade(engine)
        close(engine)
        yield url
    finally:
        if server is not None:
            server.stop()
