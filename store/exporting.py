"""A version with the whole line that it was learned on, as other installations are to know it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

from sqlalchemy import Connection, Engine, Row, select

from store.queries import find_model, find_version, line_of
from store.schema import batches, chunks, omissions, versions
from store.values import ModelRow, VersionRow

Rows = list[Row[Any]]


@dataclass(frozen=True)
class LineBatch:
    number: int
    rows: int
    digest: str


@dataclass(frozen=True)
class LineVersion:
    """A version of the line, and the batches that it absorbed."""

    number: int
    parent: int | None
    chunk: int | None
    digest: str
    kl_nats: float
    rows: int
    created_at: float
    batches: tuple[LineBatch, ...]


@dataclass(frozen=True)
class Line:
    """A version, its model, and the versions from the root to it."""

    model: ModelRow
    version: VersionRow
    versions: tuple[LineVersion, ...]


class Exporting:
    """Lines of versions, read as of one moment."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def line(self, name: str, version: int) -> Line:
        """The version and its line.

        Raises:
            ModelNotFound, VersionNotFound: there is none.
        """
        with self.engine.begin() as connection:
            model = find_model(connection, name)
            found = find_version(connection, model, version)
            numbers = set(line_of(connection, model.id, version))
            return Line(model, found, _line(connection, model.id, numbers))


def _line(connection: Connection, model_id: int, numbers: Collection[int]) -> tuple[LineVersion, ...]:
    names = ("number", "parent", "chunk", "update", "digest", "kl_nats", "rows", "created_at")
    query = select(*(versions.c[name] for name in names)).where(
        versions.c.model_id == model_id, versions.c.number <= max(numbers)
    )
    rows = [row for row in connection.execute(query.order_by(versions.c.number)) if row.number in numbers]
    absorbed = _absorbed(connection, model_id, rows)
    return tuple(
        LineVersion(
            number=row.number,
            parent=row.parent,
            chunk=row.chunk,
            digest=row.digest,
            kl_nats=row.kl_nats,
            rows=row.rows,
            created_at=row.created_at,
            batches=absorbed[row.number],
        )
        for row in rows
    )


def _absorbed(connection: Connection, model_id: int, line: Rows) -> dict[int, tuple[LineBatch, ...]]:
    """The batches that each version of the line absorbed: those of its chunk that its update did not leave out."""
    of_batches = select(batches.c.number, batches.c.rows, batches.c.digest).where(batches.c.model_id == model_id)
    held = connection.execute(of_batches.order_by(batches.c.number)).all()
    spans = {
        row.number: (row.batch_first, row.batch_last)
        for row in connection.execute(select(chunks).where(chunks.c.model_id == model_id))
    }
    left_out = defaultdict[int, set[int]](set)
    for row in connection.execute(select(omissions).where(omissions.c.model_id == model_id)):
        left_out[row._mapping["update"]].add(row.batch)
    by_number = {row.number: LineBatch(row.number, row.rows, row.digest) for row in held}
    absorbed: dict[int, tuple[LineBatch, ...]] = {}
    for row in line:
        first, last = spans.get(row.chunk, (1, 0))
        kept = set(range(first, last + 1)) - left_out[row._mapping["update"]]
        absorbed[row.number] = tuple(sorted((by_number[number] for number in kept), key=attrgetter("number")))
    return absorbed
