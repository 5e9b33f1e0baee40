"""The ledger's tables and the plain ledger's rows, as one kind of thing that can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

from sqlalchemy import Connection, Engine, delete, select

from store.engine import for_examining
from store.invariants import violations
from store.recorded import Recorded, changed, recorded
from store.schema.columns import metadata
from store.schema.learning import forgets, updates
from tests.promises import ledger_rows as plain
from tests.promises.ledger_model import PlainLedger

Books = dict[str, dict[str, list[dict[str, object]]]]
"""Rows by model and table, in the order of their keys, with the columns that the plain ledger has."""

SHAPES: dict[str, tuple[str, type]] = {
    "batch": ("batches", plain.Batch),
    "chunk": ("chunks", plain.Chunk),
    "update": ("updates", plain.Update),
    "version": ("versions", plain.Version),
    "move": ("moves", plain.Move),
    "omission": ("omissions", plain.Omission),
    "decision": ("parkings", plain.Decision),
    "forget": ("forgets", plain.Forget),
    "event": ("events", plain.Event),
}


@dataclass(frozen=True)
class Seen:
    """One look at the ledger: its books, what is wrong with them, and what is there for good."""

    books: Books
    wrong: list[str]
    recorded: Recorded

    def since(self, before: Seen) -> list[str]:
        """What vanished or was altered since then."""
        return changed(before.recorded, self.recorded)


def look(engine: Engine) -> Seen:
    with for_examining(engine).begin() as connection:
        there = recorded(connection)
        return Seen(_books(connection, there), violations(connection), there)


def empty(engine: Engine) -> None:
    """The tables hold nothing."""
    with engine.begin() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.execute(delete(table))


def plain_books(ledger: PlainLedger) -> Books:
    return {name: _plain_tables(model) for name, model in ledger.models.items()}


def _plain_tables(model: plain.Model) -> dict[str, list[dict[str, object]]]:
    tables: dict[str, Sequence[object]] = {
        "batches": model.batches,
        "chunks": model.chunks,
        "updates": model.updates,
        "versions": model.versions,
        "moves": [move for alias in sorted(model.moves) for move in model.moves[alias]],
        "omissions": [plain.Omission(update, batch) for update, batch in sorted(model.omissions)],
        "parkings": [one for batch in sorted(model.decisions) for one in model.decisions[batch]],
        "forgets": model.forgets,
        "events": model.events,
    }
    return {table: [dict(vars(row)) for row in rows] for table, rows in tables.items()}


def _books(connection: Connection, there: Recorded) -> Books:
    """What is there for good, and the updates and forgets that are not."""
    rows = dict(there)
    for noun, kind in (("update", updates), ("forget", forgets)):
        open_ = connection.execute(select(kind).where(kind.c.state.in_(plain.OPEN))).all()
        rows.update({(noun, row.model_id, row.number): dict(row._mapping) for row in open_})
    names = {name[1]: row["name"] for name, row in rows.items() if name[0] == "model"}
    books: Books = {name: {table: [] for table, _ in SHAPES.values()} for name in names.values()}
    for name in sorted((name for name in rows if name[0] in SHAPES), key=lambda name: (name[0], *name[1:])):
        table, shape = SHAPES[str(name[0])]
        books[names[name[1]]][table].append({field.name: rows[name][field.name] for field in fields(shape)})
    return books
