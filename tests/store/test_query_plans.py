"""Questions about long lines are answered through indexes: no table that grows with versions is read to its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import Connection, Engine, event, text

from benchmarks.live.tree import Shape, Tree, grow
from store.aliases import Aliases
from store.engine import close, connect
from store.history import History
from store.leases import Leases
from store.ledger import Ledger
from store.migrate import upgrade
from store.overview import overview
from store.writes import lock_model, queue_update
from tests.conftest import ENGINES
from tests.postgres import PostgresServer
from tests.store.given import a_model, digest

MODELS = 12
SHAPE = Shape(1_000, branches=20, branch_versions=10)
DEEP = SHAPE.line
ONE_ROW = "uq_updates_running"
"""An index that has one row of a model at most."""
Sent = tuple[str, Any]
LARGE = frozenset({"versions", "chunks", "batches", "updates", "moves", "events", "scores"})
"""The tables that grow with every version."""


@dataclass
class Asked:
    """The statements that a call sends, as it sends them."""

    statements: list[Sent] = field(default_factory=list)

    def hear(self, _connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.lstrip().startswith(("SELECT", "WITH", "UPDATE")):
            self.statements.append((statement, parameters))


@dataclass(frozen=True)
class Full:
    """A ledger of many models with a thousand versions each, on one engine."""

    engine: Engine
    tree: Tree

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.engine)

    @property
    def aliases(self) -> Aliases:
        return Aliases(self.engine)

    @property
    def leases(self) -> Leases:
        return Leases(self.engine, lease_seconds=15.0, attempts_max=3, retry_seconds=0.0)

    @property
    def history(self) -> History:
        return History(self.engine)

    @contextmanager
    def listening(self) -> Iterator[Asked]:
        asked = Asked()
        event.listen(self.engine, "before_cursor_execute", asked.hear)
        try:
            yield asked
        finally:
            event.remove(self.engine, "before_cursor_execute", asked.hear)


@pytest.fixture(scope="module", params=ENGINES)
def full(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Full]:
    folder: Path = tmp_path_factory.mktemp("plans")
    url = f"sqlite:///{folder / 'ledger.sqlite'}"
    if request.param == "postgresql":
        server: PostgresServer = request.getfixturevalue("postgres")
        url = server.create_database()
    engine = connect(url)
    upgrade(engine)
    ledger = Ledger(engine)
    for name in ("digits", *(f"other-{number}" for number in range(1, MODELS))):
        a_model(ledger, name)
        with engine.begin() as connection:
            tree = grow(connection, name, SHAPE, posteriors=[digest("any")])
    # SQLite is never told to look through its tables by anybody, so its plans are made without.
    if request.param == "postgresql":
        with engine.begin() as connection:
            connection.execute(text("ANALYZE"))
    yield Full(engine, tree)
    close(engine)


def scanned(connection: Connection, asked: Asked, *, is_strict: bool = False) -> set[str]:
    """The large tables of which statements read every row, or every row of the model, by the plan of the engine.

    Who takes only the first of a model's rows in their order may ask for the model alone, unless this is strict.
    """
    read = _of_sqlite if connection.dialect.name == "sqlite" else _of_postgresql
    return {
        table
        for statement, parameters in asked.statements
        for table in read(connection, (statement, parameters), is_long=is_strict or _is_long(statement))
    }


def _of_sqlite(connection: Connection, sent: Sent, *, is_long: bool) -> set[str]:
    statement, parameters = sent
    plan = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters)]
    whole = [step for step in plan if step.startswith("SCAN") or (is_long and step.endswith("(model_id=?)"))]
    names = {step.split()[1] for step in whole if ONE_ROW not in step}
    return {table for table in LARGE for name in names if name == table or f"{table} AS {name}" in statement}


def _of_postgresql(connection: Connection, sent: Sent, *, is_long: bool) -> set[str]:
    statement, parameters = sent
    plan = connection.exec_driver_sql(f"EXPLAIN (FORMAT JSON) {statement}", parameters).scalar_one()
    named = connection.execute(text("SELECT indexname, tablename FROM pg_indexes"))
    indexes = {row.indexname: row.tablename for row in named}
    whole = [node for node in _nodes(plan) if _is_whole(node, is_long=is_long)]
    return {node.get("Relation Name") or indexes[node["Index Name"]] for node in whole} & LARGE


def _is_whole(node: dict[str, Any], *, is_long: bool) -> bool:
    """A sequential scan, or an index that is asked for the model alone."""
    if node["Node Type"] == "Seq Scan":
        return True
    if "Index" not in node["Node Type"] or node["Index Name"] == ONE_ROW:
        return False
    condition = node.get("Index Cond", "")
    return not condition or (is_long and "model_id" in condition and " AND " not in condition)


def _is_long(statement: str) -> bool:
    """True where the answer takes every row that is found; the first, the newest and so many of them do not."""
    is_end = ("max(" in statement or "min(" in statement) and "GROUP BY" not in statement
    return not ("LIMIT" in statement or is_end)


def _nodes(plan: object) -> Iterator[dict[str, Any]]:
    match plan:
        case list():
            for one in plan:
                yield from _nodes(one)
        case dict():
            if "Node Type" in plan:
                yield plan
            yield from _nodes([one for one in plan.values() if isinstance(one, list | dict)])


def _replayed(full: Full) -> None:
    """Nothing: the replay of a chunk that head has learned from, found out when it is claimed."""
    with full.engine.begin() as connection:
        queue_update(connection, lock_model(connection, "digits"), 1, now=0.0)
    assert full.leases.claim("worker") is None


def _claimed(full: Full) -> None:
    full.ledger.accept("digits", key=uuid4().hex, digest=digest("new"), rows=1, label_counts={"0": 1})
    full.ledger.close("digits")
    claim = full.leases.claim("worker")
    assert claim is not None
    full.leases.fail(claim, code="any", message="any", is_final=True)


def _rolled_back(full: Full, *, to: int | None = None, steps: int = 1) -> None:
    full.aliases.rollback("digits", actor="ada", to=to, steps=steps)
    full.aliases.move("digits", "head", DEEP, actor="ada")


CALLS: dict[str, Callable[[Full], object]] = {
    "rollback by steps": lambda full: _rolled_back(full, steps=500),
    "rollback to a version": lambda full: _rolled_back(full, to=3),
    "a version by number": lambda full: full.history.version("digits", 500),
    "its evidence": lambda full: full.history.evidence("digits", 100),
    "all that is told of a version": lambda full: full.history.version_facts("digits", 100),
    "all that is told of a page of versions": lambda full: full.history.versions_facts(
        "digits", after=500, depth_max=5
    ),
    "a page of versions": lambda full: full.history.versions("digits", after=500),
    "a claim": _claimed,
    "a claim where nothing waits": lambda full: full.leases.claim("worker"),
    "a claim of a replay": _replayed,
    "what the worker asks before it learns": lambda full: (
        full.history.missing_labels("digits", version=100, batches=[500]),
        full.history.scores_on_line("digits", DEEP, limit=10),
    ),
    "a page of the history": lambda full: full.history.moves("digits", "head", after=500),
    "the aliases": lambda full: full.history.aliases("digits"),
    "the aliases' moves": lambda full: full.history.newest_moves("digits"),
    "neighbours compared": lambda full: full.history.compared("digits", 500, 501),
    "tips of branches compared": lambda full: full.history.compared("digits", full.tree.tips[0], full.tree.tips[-1]),
    "the root compared": lambda full: full.history.compared("digits", 0, 100),
    "a batch by number": lambda full: full.history.batch("digits", 500),
    "who absorbed a batch": lambda full: full.history.absorbed_in("digits", 500),
    "where all models stand": lambda full: overview(full.engine, limit=100),
    "the branches": lambda full: full.history.branches("digits", after=5),
}


@pytest.mark.parametrize("call", CALLS)
def test_no_large_table_is_read_from_end_to_end(full: Full, call: str) -> None:
    with full.listening() as asked:
        CALLS[call](full)

    assert asked.statements
    with full.engine.connect() as connection:
        assert scanned(connection, asked) == set()


GUARDED = {
    "uq_versions_branch": ("versions", "rollback by steps"),
    "ix_versions_model_id_chunk": ("versions", "who absorbed a batch"),
    "ix_updates_state": ("updates", "a claim where nothing waits"),
}
"""Indexes beside the primary keys, a table that is read from end to end without one, and a call that then does."""


@pytest.mark.parametrize("index", GUARDED)
def test_without_its_index_a_call_is_seen_to_read_the_table(full: Full, index: str) -> None:
    table, call = GUARDED[index]
    with full.listening() as asked:
        CALLS[call](full)
    full.engine.dispose()

    with full.engine.connect() as connection:
        before = scanned(connection, asked, is_strict=True)
    full.engine.dispose()
    with full.engine.connect() as connection:
        connection.exec_driver_sql(f"DROP INDEX {index}")
        after = scanned(connection, asked, is_strict=True)
        connection.rollback()

    assert table in after - before
