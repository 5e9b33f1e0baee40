"""Connections: what SQLite and PostgreSQL are told before anything else."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, delete, insert, select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from store.engine import DATABASE_DOWN, close, connect, database_clock, for_examining, sign_of
from store.schema.learning import batches, models


def test_each_engine_keeps_its_promises_about_commits_and_locks(engine: Engine) -> None:
    promises: dict[str, dict[str, object]] = {
        "sqlite": {"PRAGMA journal_mode": "wal", "PRAGMA synchronous": 2, "PRAGMA foreign_keys": 1},
        "postgresql": {"SHOW lock_timeout": "10s", "SHOW idle_in_transaction_session_timeout": "1min"},
    }
    asked = promises[engine.dialect.name]

    with engine.begin() as connection:
        assert {question: connection.execute(text(question)).scalar_one() for question in asked} == asked


def test_a_row_that_refers_to_nothing_is_refused(engine: Engine) -> None:
    orphan = {"model_id": 7, "number": 1, "key": "a", "digest": "", "rows": 1, "label_counts": {}, "accepted_at": 0.0}

    with pytest.raises(IntegrityError), engine.begin() as connection:
        connection.execute(insert(batches).values(orphan))


def test_of_a_closed_engine_no_connection_stays_open(engine: Engine) -> None:
    kept, late = engine.connect(), engine.connect()
    raw = [connection.connection.driver_connection for connection in (kept, late)]
    kept.close()

    close(engine)
    with engine.connect() as later:  # Somebody who has not heard of it.
        raw.append(later.connection.driver_connection)
        assert later.execute(text("SELECT 1")).scalar_one() == 1
    assert late.execute(text("SELECT 1")).scalar_one() == 1
    late.close()

    assert not any(is_open(one) for one in raw)


def is_open(raw: Any) -> bool:  # noqa: ANN401 - a driver's own connection
    try:
        raw.execute("SELECT 1")
    except (psycopg.Error, sqlite3.Error):
        return False
    return True


def test_read_only_nothing_is_written(engine: Engine, database_url: str) -> None:
    reading = connect(database_url, is_read_only=True)

    with for_examining(reading).begin() as connection:
        assert connection.execute(select(models)).all() == []
    with pytest.raises(DBAPIError), reading.begin() as connection:
        connection.execute(delete(models))

    reading.dispose()


def test_read_only_a_sqlite_file_stays_as_it_is_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "the ledger of 100 %.sqlite"
    with closing(sqlite3.connect(path)) as plain:
        plain.execute("CREATE TABLE models (id INTEGER)")
    before = path.read_bytes()

    reading = connect(f"sqlite:///{path}", is_read_only=True)
    with reading.begin() as connection:
        assert connection.execute(text("SELECT count(*) FROM models")).scalar_one() == 0
    reading.dispose()

    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == [path.name]


def test_read_only_a_sqlite_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    reading = connect(f"sqlite:///{tmp_path / 'folder' / 'ledger.sqlite'}", is_read_only=True)

    with pytest.raises(OperationalError, match="unable to open"), reading.begin() as connection:
        connection.execute(select(models))
    assert list(tmp_path.iterdir()) == []


def test_the_databases_clock_goes_forward_within_a_transaction(engine: Engine) -> None:
    with engine.begin() as connection:
        times = [database_clock(connection) for _ in range(200)]

    assert times == sorted(times)
    assert times[0] > 1.7e9


def test_what_is_said_of_an_outage_is_a_line_without_the_statement(engine: Engine) -> None:
    with pytest.raises(DATABASE_DOWN) as away, connect("postgresql+psycopg://me:secret@/x?host=/nowhere").connect():
        pass
    with engine.connect() as connection, pytest.raises(SQLAlchemyError) as refused:
        connection.execute(text("SELECT 'secret' FROM elsewhere"))

    assert len(str(away.value).splitlines()) > 1
    assert "No such file or directory" in sign_of(away.value)
    assert sign_of(refused.value) in {"no such table: elsewhere", 'relation "elsewhere" does not exist'}
    assert sign_of(PoolTimeout("none is free")) == "none is free"
    assert sign_of(OperationalError("SELECT 1", None, Exception())) == "OperationalError"
    for outage in (away, refused):
        assert len(sign_of(outage.value).splitlines()) == 1
        assert "secret" not in sign_of(outage.value)


def test_a_postgresql_that_takes_no_writes_is_an_outage(engine: Engine) -> None:
    if engine.dialect.name == "sqlite":
        return
    with engine.begin() as connection:
        connection.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(DATABASE_DOWN):
            connection.execute(text("DELETE FROM batches"))
