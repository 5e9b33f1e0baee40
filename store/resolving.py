"""Which version answers now, asked before every prediction: as fresh as a query, and mostly cheaper than one."""

from __future__ import annotations

import threading
from collections import OrderedDict

from sqlalchemy import Engine

from store.changes import Changes
from store.history import History
from store.kinds import HEAD
from store.values import Resolved

KEPT_MAX = 10_000

Asked = tuple[str, int | None, str]


class Resolver:
    """Answers as `History.resolve` does. Safe for many threads at once.

    On SQLite the answers are kept until another connection has committed anything, which `PRAGMA data_version` tells
    in microseconds. On PostgreSQL every call is a query.
    """

    def __init__(self, engine: Engine) -> None:
        self.history = History(engine)
        self._is_watched = engine.dialect.name == "sqlite"
        self._changes = Changes(engine)
        self._seen: int | None = None
        self._kept: OrderedDict[Asked, Resolved] = OrderedDict()
        self._lock = threading.Lock()

    def resolve(self, name: str, *, version: int | None = None, alias: str = HEAD) -> Resolved:
        """The version that answers now: the given one, else where the alias points.

        Every move that was committed before the call is seen.

        Raises:
            ModelNotFound, VersionNotFound, AliasNotFound: there is none.
        """
        if not self._is_watched:
            return self.history.resolve(name, version=version, alias=alias)
        asked = (name, version, alias)
        with self._lock:
            found, seen = self._look(asked)
            if found is not None:
                return found
        found = self.history.resolve(name, version=version, alias=alias)
        with self._lock:
            # A commit since makes whoever asks next forget this with the rest; beside newer answers it is not kept.
            if seen == self._seen:
                self._kept[asked] = found
                if len(self._kept) > KEPT_MAX:
                    self._kept.popitem(last=False)
        return found

    def at_hand(self, name: str, *, version: int | None = None, alias: str = HEAD) -> Resolved | None:
        """As `resolve`, where that takes microseconds; None where it would be a query."""
        if not self._is_watched:
            return None
        with self._lock:
            return self._look((name, version, alias))[0]

    def close(self) -> None:
        """The watching connection is given back."""
        with self._lock:
            self._changes.close()

    def _look(self, asked: Asked) -> tuple[Resolved | None, int]:
        seen = self._changes.count()
        if seen != self._seen:
            self._kept.clear()
            self._seen = seen
        if (found := self._kept.get(asked)) is not None:
            self._kept.move_to_end(asked)
        return found, seen
