"""Whether anything was committed to a SQLite database since the last look: a question of microseconds."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

VERSION = "PRAGMA data_version"


class Changes:
    """Watches through a connection of its own. One thread at a time: who has it holds a lock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._watching: Any = None

    def count(self) -> int:
        """A number that is another one as soon as any other connection, of any process, has committed.

        Raises:
            OperationalError: the database does not answer.
        """
        return int(self.ask(VERSION)[0])

    def ask(self, query: str) -> tuple[Any, ...]:
        """The one row that answers, through the connection that watches: a small question costs microseconds.

        Raises:
            OperationalError: the database does not answer.
        """
        try:
            if self._watching is None:
                self._watching = self._engine.raw_connection()
            return tuple(self._watching.cursor().execute(query).fetchone())
        except sqlite3.Error as error:
            raise OperationalError(query, None, error) from error

    def close(self) -> None:
        """The connection is given back."""
        if self._watching is not None:
            self._watching.close()
            self._watching = None
