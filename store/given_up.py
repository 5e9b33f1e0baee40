"""Batches that nothing is to learn from, for good or until they are released: head goes to no version that has."""

from __future__ import annotations

from sqlalchemy import Connection, select

from store.dividing import divided_on
from store.errors import VersionForgotten, VersionParked
from store.kinds import GIVEN_UP, ParkingKind
from store.line import find_line
from store.queries import CHUNK
from store.schema.learning import batches, parkings
from store.tree import parts_of_chunks
from store.values import ModelRow

AT_ONCE = 500
"""Chunks in one query."""


def must_not_come_back(connection: Connection, model: ModelRow, version: int, *, head: int) -> None:
    """Head may go to the version: it brings no batch that is set aside.

    What head's own line has learned from does not come back, so a rollback is free: to before a division, and while a
    forget is under way.

    Raises:
        VersionForgotten: it brings some back that were forgotten or discarded.
        VersionParked: it brings some that are parked.
    """
    aside = _aside(connection, model.id)
    if not aside or version == head:
        return
    chunks = _chunks_of(connection, model.id)
    back = _learned(connection, model.id, version, chunks) & aside.keys()
    if back:
        back -= _learned(connection, model.id, head, chunks) | divided_on(connection, model.id, version)
    if back:
        given_up = {batch for batch in back if aside[batch] in GIVEN_UP}
        named = ", ".join(map(str, sorted(given_up or back)))
        raise (VersionForgotten if given_up else VersionParked)(version=version, model=model.name, batches=named)


def _aside(connection: Connection, model_id: int) -> dict[int, ParkingKind]:
    """The batches that are set aside, and how."""
    query = select(parkings.c.batch, parkings.c.kind).where(parkings.c.model_id == model_id)
    newest = {row.batch: row.kind for row in connection.execute(query.order_by(parkings.c.batch, parkings.c.seq))}
    return {batch: ParkingKind(kind) for batch, kind in newest.items() if kind != ParkingKind.RELEASE}


def _chunks_of(connection: Connection, model_id: int) -> list[int]:
    """The chunks of the batches that were ever set aside."""
    decided = select(parkings.c.batch).where(parkings.c.model_id == model_id)
    query = select(CHUNK.label("chunk")).where(batches.c.model_id == model_id, batches.c.number.in_(decided))
    return sorted({row.chunk for row in connection.execute(query) if row.chunk is not None})


def _learned(connection: Connection, model_id: int, version: int, chunks: list[int]) -> frozenset[int]:
    """What the line of the version has learned of these chunks."""
    line = find_line(connection, model_id, version)
    some = (chunks[start : start + AT_ONCE] for start in range(0, len(chunks), AT_ONCE))
    parts = (part for of in some for part in parts_of_chunks(connection, model_id, of, line=line))
    return frozenset(batch for part in parts for batch in part.batches)
