"""Tells a worker that something may have become claimable. It may wake for nothing; it never decides anything."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from sqlalchemy import Connection, Engine, text

from store.changes import VERSION
from store.engine import driver_errors

CHANNEL = "posterity"
LISTEN = f"LISTEN {CHANNEL}"
LOOK_SECONDS = 0.02


class Waker(Protocol):
    def wait(self, seconds: float) -> bool:
        """True as soon as the ledger may have changed since the last call, False after this many seconds.

        Raises:
            OperationalError: the database is gone.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def waker_for(engine: Engine, *, look_seconds: float = LOOK_SECONDS) -> Waker:
    """A waker with a connection of its own, which it gives back when it is left.

    It looks at SQLite so often, and so late it may wake; PostgreSQL wakes it.

    Raises:
        OperationalError, PoolTimeout: the database is gone.
    """
    return SqliteWaker(engine, look_seconds) if engine.dialect.name == "sqlite" else PostgresWaker(engine)


def announce(connection: Connection) -> None:
    """Sleeping workers on PostgreSQL wake when this transaction commits; SQLite's need no word."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_notify(:channel, '')"), {"channel": CHANNEL})


class _Closing:
    _connection: Any

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with driver_errors("close"):
            self._connection.close()


class SqliteWaker(_Closing):
    """Watches SQLite's own change counter, `PRAGMA data_version`, which moves when another connection commits."""

    def __init__(
        self,
        engine: Engine,
        look_seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._look_seconds, self._clock, self._sleep = look_seconds, clock, sleep
        with driver_errors("connect"):
            self._connection = engine.raw_connection()
        try:
            self._seen = self._version()
        except BaseException:
            self._connection.close()
            raise

    def wait(self, seconds: float) -> bool:
        until = self._clock() + seconds
        while (now := self._version()) == self._seen and (left := until - self._clock()) > 0:
            self._sleep(min(self._look_seconds, left))
        before, self._seen = self._seen, now
        return now != before

    def _version(self) -> int:
        with driver_errors(VERSION):
            return int(self._connection.cursor().execute(VERSION).fetchone()[0])


class PostgresWaker(_Closing):
    """Waits for `NOTIFY posterity` on a connection of its own."""

    def __init__(self, engine: Engine) -> None:
        with driver_errors("connect"):
            borrowed = engine.raw_connection()
        self._connection = borrowed.driver_connection
        borrowed.detach()
        try:
            with driver_errors(LISTEN):
                self._connection.autocommit = True
                self._connection.execute(LISTEN)
        except BaseException:
            self._connection.close()
            raise

    def wait(self, seconds: float) -> bool:
        with driver_errors(LISTEN):
            return any(True for _ in self._connection.notifies(timeout=seconds, stop_after=1))
