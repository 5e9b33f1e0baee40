"""Named places at which a process of the storm kills itself, as SIGKILL of a stranger might meet it there.

The product has no hooks for this: in the doomed process, and only there, a function or a statement is wrapped.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine, event

from service import keeping
from store.aliases import Aliases
from store.folder import Folder
from store.leases import Leases
from store.ledger import Ledger
from store.object_store import ObjectStore
from worker.heartbeat import Heartbeat

Act = Callable[[], None]
STORES = (Folder, ObjectStore)


@dataclass(frozen=True)
class Doom:
    """At which place a process dies, and at which passing of it."""

    place: str
    passing: int


def after(owner: Any, name: str) -> Callable[[Act], None]:  # noqa: ANN401 - a class or a module
    """Acts whenever the function has returned something, before its caller learns of it."""

    def wrap(act: Act) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
            returned = original(*arguments, **keywords)
            if returned is not None or name in SAY_NOTHING:
                act()
            return returned

        setattr(owner, name, wrapped)

    return wrap


def before(owner: Any, name: str) -> Callable[[Act], None]:  # noqa: ANN401 - a class or a module
    """Acts whenever the function is called, before it does anything."""

    def wrap(act: Act) -> None:
        original = getattr(owner, name)

        def wrapped(*arguments: Any, **keywords: Any) -> Any:  # noqa: ANN401
            act()
            return original(*arguments, **keywords)

        setattr(owner, name, wrapped)

    return wrap


def inserted(table: str) -> Callable[[Act], None]:
    """Acts inside the transaction, when the row is there and nothing is committed."""

    def listen(act: Act) -> None:
        @event.listens_for(Engine, "after_cursor_execute")
        def look(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement.startswith(f"INSERT INTO {table} "):
                act()

    return listen


def each(*wraps: Callable[[Act], None]) -> Callable[[Act], None]:
    def wrap(act: Act) -> None:
        for one in wraps:
            one(act)

    return wrap


SAY_NOTHING = {"delete", "progress"}
"""Functions that return nothing when all went well."""

PLACES: dict[str, dict[str, Callable[[Act], None]]] = {
    "service": {
        "half a blob written": before(os, "fsync"),
        "blob written, no row": after(keeping, "keep_all"),
        "batch inserted, not committed": inserted("batches"),
        "batch committed, not answered": after(Ledger, "accept_all"),
        "chunk inserted, not committed": inserted("chunks"),
        "chunk committed, not answered": after(Ledger, "close"),
        "move inserted, not committed": inserted("moves"),
        "move committed, not answered": each(after(Aliases, "rollback"), after(Aliases, "move")),
    },
    "worker": {
        "claimed": after(Leases, "claim"),
        "in an update": after(Heartbeat, "progress"),
        "half a posterior written": before(os, "fsync"),
        "posterior written, no row": each(*(after(store, "put") for store in STORES)),
        "version inserted, not committed": inserted("versions"),
        "published, not told": after(Leases, "publish"),
        "rows given up, not committed": inserted("deletions"),
        "removal begun": each(*(before(store, "delete") for store in STORES)),
        "bytes removed, not committed": each(*(after(store, "delete") for store in STORES)),
    },
    "collector": {
        "buried, not committed": inserted("tombstones"),
        "removal begun": each(*(before(store, "delete") for store in STORES)),
        "bytes removed, not committed": each(*(after(store, "delete") for store in STORES)),
    },
}
"""By the part of the house that passes them."""


def doom(part: str, how: Doom, epitaph: int) -> None:
    """This process dies at the place's passing; the name of the place is written to this file descriptor before."""
    left = how.passing

    def strike() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.write(epitaph, f"{part}: {how.place}\n".encode())
            os.kill(os.getpid(), signal.SIGKILL)

    PLACES[part][how.place](strike)
