"""The books of a model, as the doctor reads them: all its rows that must agree with each other."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, Table, select

from store.kinds import GIVEN_UP
from store.schema.beside import deletions
from store.schema.learning import batches, chunks, forgets, moves, omissions, parkings, updates, versions
from store.values import Json

Rows = Sequence[Row[Any]]


@dataclass(frozen=True)
class Books:
    """The rows of one model, in the order of their numbers; moves by alias and seq."""

    imported: Json | None
    batches: Rows
    chunks: Rows
    updates: Rows
    versions: Rows
    moves: Rows
    deletions: Rows
    omissions: Rows
    forgets: Rows
    parkings: Rows

    @property
    def discarded(self) -> frozenset[int]:
        """The batches that nothing learns from any more."""
        newest = {row.batch: row.kind for row in self.parkings}
        return frozenset(batch for batch, kind in newest.items() if kind in GIVEN_UP)

    @property
    def omitted(self) -> dict[int, frozenset[int]]:
        """The batches that each update leaves out, of those that leave any out."""
        found = defaultdict[int, set[int]](set)
        for row in self.omissions:
            found[row.update].add(row.batch)
        return {update: frozenset(left_out) for update, left_out in found.items()}


def books_of(connection: Connection, model_id: int, *, imported: Json | None) -> Books:
    """The rows of the model as they are at this moment."""
    # Of batches, which may be many, only what is asked of them.
    held = select(batches.c.number, batches.c.rows, batches.c.key)
    named = [column for column in versions.c if column.name not in {"report", "created_at", "kl_nats"}]
    queries: dict[Table, Select[Any]] = {
        batches: held.order_by(batches.c.number),
        chunks: select(chunks).order_by(chunks.c.number),
        updates: select(updates).order_by(updates.c.number),
        versions: select(*named).order_by(versions.c.number),
        moves: select(moves).order_by(moves.c.alias, moves.c.seq),
        deletions: select(deletions).order_by(deletions.c.batch),
        omissions: select(omissions).order_by(omissions.c["update"], omissions.c.batch),
        forgets: select(forgets).order_by(forgets.c.number),
        parkings: select(parkings).order_by(parkings.c.batch, parkings.c.seq),
    }
    rows = (connection.execute(query.where(table.c.model_id == model_id)).all() for table, query in queries.items())
    return Books(imported, *rows)
