"""Connections to the ledger's database: SQLite or PostgreSQL, told apart by the URL alone."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import ConnectionPoolEntry

from store.private import create, make_folder

Clock = Callable[[Connection], float]
"""Reads the time, in seconds since 1970 (UTC), inside a transaction."""

BUSY_SECONDS = 30.0
WRITES = "posterity_writes"

POSTGRES = {
    "connect_timeout": 10,
    "keepalives_idle": 30,
    "tcp_user_timeout": 30_000,
    "options": "-c lock_timeout=10s -c idle_in_transaction_session_timeout=60s",
}
"""Nobody waits for ever: not for a server, not for a lock, not for a client that died in a transaction."""
READS = "-c default_transaction_read_only=on"

POOL: dict[str, Any] = {"pool_size": 20, "hide_parameters": True}
"""Errors do not say what a statement was about: their words get into logs."""

DATABASE_DOWN = (OperationalError, InterfaceError, InternalError, PoolTimeout)
"""What a database that does not answer, answers too late, or takes no writes for now, is seen by."""

_NOW = {
    "sqlite": text("SELECT (julianday('now') - 2440587.5) * 86400.0"),
    "postgresql": text("SELECT extract(epoch FROM clock_timestamp())::double precision"),
}


def connect(url: str, *, is_read_only: bool = False) -> Engine:
    """An engine for this URL; a SQLite file's folder exists afterwards.

    SQLite runs in WAL mode with foreign keys on, waits up to 30 s for a writer, and flushes each commit to the disk.
    Read only, nothing is made or changed, not even how a SQLite file keeps its journal.
    """
    parsed = make_url(url)
    if parsed.get_backend_name() == "postgresql":
        options = POSTGRES | {"options": f"{POSTGRES['options']} {READS}"} if is_read_only else POSTGRES
        return create_engine(parsed, connect_args=options, pool_pre_ping=True, **POOL, max_overflow=20)
    file = parsed.database
    assert file, "settings name a file"
    if is_read_only:
        # Named by a URI, SQLite may be told not to make the file.
        parsed = parsed.set(database=f"file:{quote(file)}", query={"mode": "rw", "uri": "true"})
    else:
        make_folder(Path(file).parent)
    engine = create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, **POOL, max_overflow=40)
    if not is_read_only:
        event.listen(engine, "do_connect", _create_sqlite)
    event.listen(engine, "connect", _read_sqlite if is_read_only else _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def for_writing(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions take SQLite's write lock at their start.

    A transaction that reads first and writes later could otherwise fail half way: SQLite cannot upgrade a snapshot
    that another writer has overtaken.
    """
    return engine.execution_options(**{WRITES: True})


def for_examining(engine: Engine) -> Engine:
    """The same engine and pool, whose transactions see one moment from their first look to their last."""
    # SQLite's do so by themselves.
    return engine if engine.dialect.name == "sqlite" else engine.execution_options(isolation_level="REPEATABLE READ")


def is_lock_timeout(error: OperationalError) -> bool:
    """True when another transaction held a row for too long; the database itself is well."""
    return isinstance(error.orig, psycopg.errors.LockNotAvailable)


def close(engine: Engine) -> None:
    """The engine keeps no connection: those in use, and any that is made later, are closed when they come back.

    `Engine.dispose` alone leaves both open, in a pool that nobody asks, until the interpreter collects them.
    """
    event.listen(engine, "checkin", _close)  # Before: one that comes back in between is closed too.
    engine.dispose()


@contextmanager
def driver_errors(doing: str) -> Iterator[None]:
    """What the driver itself raises within is raised as one of DATABASE_DOWN, as SQLAlchemy does where it is asked.

    For connections that are used without SQLAlchemy, or asked of its pool by `raw_connection`.
    """
    try:
        yield
    except (psycopg.Error, sqlite3.Error) as error:
        raise OperationalError(doing, None, error) from error


def sign_of(outage: Exception) -> str:
    """What the database's driver says of an outage, in one line and without the statement that met it."""
    said = str(getattr(outage, "orig", None) or outage).strip()
    return said.splitlines()[0] if said else type(outage).__name__


def database_clock(connection: Connection) -> float:
    """The time by the database, which every worker on every host agrees on."""
    return float(connection.execute(_NOW[connection.dialect.name]).scalar_one())


def _close(_raw: object, entry: ConnectionPoolEntry) -> None:
    entry.invalidate()


def _create_sqlite(_dialect: object, _record: object, arguments: list[str], _named: object) -> None:
    # SQLite's other files take the mode of this one. Where it cannot be made, SQLite says so by an error of its own.
    with suppress(OSError):
        create(Path(arguments[0]))


def _prepare_sqlite(raw: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    raw.isolation_level = None  # We emit BEGIN ourselves, in `_begin_sqlite`.
    try:
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
            raw.execute(f"PRAGMA {pragma}")
    except sqlite3.Error:
        raw.close()  # Nobody else has it yet.
        raise


def _read_sqlite(raw: Any, _record: object) -> None:  # noqa: ANN401 - the driver's own connection
    raw.isolation_level = None
    raw.execute("PRAGMA query_only=ON")


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
