"""Tables that refuse nothing: damage can be done in them that the database itself would refuse."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from store.engine import connect
from store.migrate import upgrade
from store.schema.columns import metadata


@contextmanager
def loosened(folder: Path, fill: Callable[[Engine], None]) -> Iterator[Engine]:
    """A filled ledger, whose tables have lost every key, constraint and index."""
    engine = connect(f"sqlite:///{folder / 'ledger.sqlite'}")
    upgrade(engine)
    fill(engine)
    with engine.connect() as connection:
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        for table in metadata.tables:
            connection.exec_driver_sql(f"CREATE TABLE loose AS SELECT * FROM {table}")  # noqa: S608 - our own names
            connection.exec_driver_sql(f"DROP TABLE {table}")
            connection.exec_driver_sql(f"ALTER TABLE loose RENAME TO {table}")
        connection.exec_driver_sql("BEGIN")
    try:
        yield engine
    finally:
        engine.dispose()
