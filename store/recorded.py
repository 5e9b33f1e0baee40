"""Pictures of a ledger, to compare: what is there for good may neither vanish nor change."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, Table, select

from store.kinds import OPEN
from store.schema.beside import deletions, events, labels
from store.schema.learning import (
    batches,
    chunks,
    forgets,
    models,
    moves,
    omissions,
    parkings,
    scores,
    updates,
    versions,
)
from store.values import Json

Recorded = Mapping[tuple[object, ...], Json]
"""What must never change again, by its name: ("version", model, number) and the like, with all of its columns."""


def recorded(connection: Connection) -> Recorded:
    """A picture of every row that is there for good: all of them, but updates and forgets that have not ended."""
    kinds: dict[str, tuple[Table, tuple[str, ...]]] = {
        "model": (models, ("id",)),
        "batch": (batches, ("model_id", "number")),
        "chunk": (chunks, ("model_id", "number")),
        "version": (versions, ("model_id", "number")),
        "move": (moves, ("model_id", "alias", "seq")),
        "update": (updates, ("model_id", "number")),
        "deletion": (deletions, ("model_id", "batch")),
        "label": (labels, ("prediction", "row")),
        "omission": (omissions, ("model_id", "update", "batch")),
        "decision": (parkings, ("model_id", "batch", "seq")),
        "forget": (forgets, ("model_id", "number")),
        "score": (scores, ("model_id", "batch", "version")),
        "event": (events, ("model_id", "number")),
    }
    return {
        (noun, *(row._mapping[name] for name in names)): dict(row._mapping)
        for noun, (table, names) in kinds.items()
        for row in connection.execute(select(table))
        if noun not in {"update", "forget"} or row.state not in OPEN
    }


def changed(before: Recorded, after: Recorded) -> list[str]:
    """A sentence for each row of `before` that vanished or was altered."""
    return [sentence for name, row in before.items() if (sentence := _difference(name, row, after.get(name)))]


def _difference(name: tuple[object, ...], before: Json, after: Json | None) -> str | None:
    what = " ".join(str(part) for part in name)
    if after is None:
        return f"{what} vanished: {before}"
    # Not a number is unlike itself, but is written as itself.
    altered = sorted(column for column in before if repr(before[column]) != repr(after[column]))
    return f"{what} was altered in {', '.join(altered)}: {before} became {after}" if altered else None
