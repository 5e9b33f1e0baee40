"""What is asked of a model with a long line and many branches: at the store, and over HTTP."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from uuid import uuid4

from sqlalchemy import Engine

from benchmarks.live.connections import JSON, request
from benchmarks.live.tree import Tree
from store.aliases import Aliases
from store.history import History
from store.kinds import HEAD
from store.leases import Leases
from store.ledger import Ledger
from store.writes import lock_model, queue_update

NEAR = 1_000
"""Deep versions are the last so many of the line; another one is asked for each time."""


@dataclass(frozen=True)
class Call:
    """One thing that is asked; `store` does it at the ledger, `http` are the bytes of its request, where it has one.

    What `before` and `after` do is not timed.
    """

    store: Callable[[], object]
    http: Callable[[], bytes] | None = None
    before: Callable[[], object] = lambda: None
    after: Callable[[], object] = lambda: None


def calls_of(engine: Engine, name: str, tree: Tree, *, seed: int) -> dict[str, Call]:
    """The calls by name, in the order in which they are timed; head is where it was after each."""
    history, aliases, ledger = History(engine), Aliases(engine), Ledger(engine)
    leases = Leases(engine, lease_seconds=60.0, attempts_max=3, retry_seconds=0.0)
    drawn, end, path = Random(seed), tree.end, f"/v1/models/{name}"  # noqa: S311

    def deep() -> int:
        return drawn.randint(max(1, end - NEAR), end - 1)

    def get(of: Callable[[], str]) -> Callable[[], bytes]:
        return lambda: request("GET", f"{path}{of()}")

    def post(method: str, where: str, body: Callable[[], dict[str, int]]) -> Callable[[], bytes]:
        return lambda: request(method, f"{path}{where}", json.dumps(body()).encode(), JSON)

    def back() -> object:
        return aliases.move(name, HEAD, end, actor="benchmark")

    queues: list[int] = []

    def queued() -> None:
        ledger.accept(name, key=uuid4().hex, digest=f"sha256:{'0' * 64}", rows=1, label_counts={"0": 1})
        queues.append(ledger.close(name).number)

    def replayed() -> None:
        with ledger.engine.begin() as connection:
            queue_update(connection, lock_model(connection, name), tree.chunk_of(deep()), now=0.0)

    def given_up() -> None:
        for update in queues:
            ledger.cancel(name, update)
        queues.clear()

    def compared(one: Callable[[], int], other: Callable[[], int]) -> Call:
        return Call(lambda: history.compared(name, one(), other()), get(lambda: f"/versions/{one()}/compare/{other()}"))

    tips = tree.tips
    rollback = {"steps": lambda: {"steps": 1}, "to": lambda: {"to": deep()}}
    return {
        "rollback by a step": Call(
            lambda: aliases.rollback(name, steps=1, actor="benchmark"),
            post("POST", "/rollback", rollback["steps"]),
            after=back,
        ),
        "rollback to a version": Call(
            lambda: aliases.rollback(name, to=deep(), actor="benchmark"),
            post("POST", "/rollback", rollback["to"]),
            after=back,
        ),
        "head moved": Call(back, post("PUT", "/aliases/head", lambda: {"version": end})),
        "version by number, deep": Call(
            lambda: history.version_facts(name, deep()), get(lambda: f"/versions/{deep()}")
        ),
        "version by number, shallow": Call(lambda: history.version_facts(name, 5), get(lambda: "/versions/5")),
        "lineage check at claim": Call(lambda: leases.claim("benchmark"), before=queued, after=given_up),
        "lineage check at claim, a replay": Call(lambda: leases.claim("benchmark"), before=replayed),
        "history page": Call(
            lambda: history.moves(name, HEAD, after=deep(), limit=51),
            get(lambda: f"/aliases/head/history?cursor={cursor(deep())}"),
        ),
        "compare, neighbours": compared(lambda: end - 7, lambda: end - 8),
        "compare, tips of branches": compared(lambda: drawn.choice(tips), lambda: drawn.choice(tips)),
        "compare, root and deepest": compared(lambda: 0, deep),
        "versions page": Call(
            lambda: history.versions(name, after=deep(), limit=51), get(lambda: f"/versions?cursor={cursor(deep())}")
        ),
        "branches page": Call(lambda: history.branches(name, limit=51), get(lambda: "/branches")),
        "batch by number": Call(
            lambda: (history.batch(name, deep()), history.absorbed_in(name, deep())), get(lambda: f"/batches/{deep()}")
        ),
        "aliases": Call(lambda: history.aliases(name), get(lambda: "/aliases")),
        "model": Call(lambda: (history.model(name), history.counters(name), history.aliases(name)), get(lambda: "")),
        "labels seen before, once an update": Call(lambda: history.missing_labels(name, version=deep(), batches=[1])),
    }


def cursor(after: int) -> str:
    """What a page after this number is asked by."""
    return base64.urlsafe_b64encode(str(after).encode()).decode()
