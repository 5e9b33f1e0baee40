"""Which keys count now, asked before every request: mostly without a query."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects import sqlite

from store.changes import Changes
from store.engine import DATABASE_DOWN
from store.keys import InForce, KeyRow, Keys
from store.schema.beside import keys

MARK = str(select(func.count(), func.count(keys.c.revoked_at), func.max(keys.c.id)).compile(dialect=sqlite.dialect()))
FRESH_SECONDS = 1.0
"""On PostgreSQL, what was read so long ago is read again."""


@dataclass(frozen=True)
class _Kept:
    in_force: InForce
    seen: tuple[int, int]
    mark: tuple[Any, ...]
    began: float


class KeyRing:
    """Keeps the keys in force. Safe for many threads at once.

    On SQLite they are kept until one was made or revoked, which is looked at whenever `PRAGMA data_version` says that
    another connection has committed anything; on PostgreSQL for a second.
    """

    def __init__(
        self, of: Keys, *, timer: Callable[[], float] = time.monotonic, clock: Callable[[], float] = time.time
    ) -> None:
        self._keys = of
        self._timer, self._clock = timer, clock
        self._changes = Changes(of.engine) if of.engine.dialect.name == "sqlite" else None
        self._kept: _Kept | None = None
        self._ahead_seconds = 0.0  # How far the database's clock is ahead of ours.
        self._forgotten = 0
        self._lock = threading.Lock()

    def at_hand(self) -> InForce | None:
        """The keys in force, where that takes microseconds; None where it would be a query."""
        with self._lock:
            kept = self._kept
            try:
                return kept.in_force if kept is not None and self._is_fresh(kept) else None
            except DATABASE_DOWN:
                return None

    def read(self) -> InForce:
        """The keys in force, by a query.

        Raises:
            SQLAlchemyError: the database does not answer.
        """
        with self._lock:
            seen, mark = self._seen(), self._mark()
        began, clock = self._timer(), self._clock()
        in_force = self._keys.in_force()
        with self._lock:
            self._kept = _Kept(in_force, seen, mark, began)
            self._ahead_seconds = in_force.read_at - clock
        return in_force

    def last(self) -> InForce | None:
        """What was read last, however long ago; None: nothing ever was."""
        kept = self._kept
        return None if kept is None else kept.in_force

    def find(self, in_force: InForce, presented: str) -> KeyRow | None:
        """Whose key this is; None: it is unknown, revoked or expired. Expiry is told by the database's clock."""
        return in_force.find(presented, now=self._clock() + self._ahead_seconds)

    def counts(self, in_force: InForce, key: KeyRow) -> bool:
        """True while the key is neither revoked nor expired."""
        return key.hash in in_force.by_hash and not key.is_expired(self._clock() + self._ahead_seconds)

    def forget(self) -> None:
        """Whatever is asked next is asked of the database."""
        with self._lock:
            self._forgotten += 1

    def close(self) -> None:
        """Nothing is connected any more."""
        with self._lock:
            if self._changes is not None:
                self._changes.close()

    def _is_fresh(self, kept: _Kept) -> bool:
        if self._changes is None and self._timer() - kept.began >= FRESH_SECONDS:
            return False
        seen = self._seen()
        if kept.seen == seen:
            return True
        if self._changes is None or kept.seen[0] != seen[0] or kept.mark != self._mark():
            return False
        self._kept = replace(kept, seen=seen)  # Something was committed, and no key is another.
        return True

    def _mark(self) -> tuple[Any, ...]:
        """What is another when a key was made or revoked, which are all the changes there are; on SQLite."""
        return () if self._changes is None else self._changes.ask(MARK)

    def _seen(self) -> tuple[int, int]:
        return self._forgotten, 0 if self._changes is None else self._changes.count()
