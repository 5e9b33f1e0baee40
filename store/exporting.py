"""A version with the whole line that it was learned on, as other installations are to know it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, Engine, select

from store.dividing import divisions_of
from store.queries import find_model, find_version
from store.schema.learning import batches, versions
from store.tree import learned_of, line_of
from store.values import ModelRow, VersionRow


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
    divided: tuple[int, ...] = ()
    """The batches whose part was divided out of it, approximately."""


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
            return Line(model, found, _line(connection, model.id, version))


def _line(connection: Connection, model_id: int, version: int) -> tuple[LineVersion, ...]:
    numbers = set(line_of(connection, model_id, version))
    names = ("number", "parent", "chunk", "digest", "kl_nats", "rows", "created_at")
    query = select(*(versions.c[name] for name in names)).where(
        versions.c.model_id == model_id, versions.c.number <= version
    )
    absorbed, divided = _absorbed(connection, model_id, version), divisions_of(connection, model_id)
    return tuple(
        LineVersion(**row._mapping, batches=absorbed.get(row.number, ()), divided=tuple(divided.get(row.number, ())))
        for row in connection.execute(query.order_by(versions.c.number))
        if row.number in numbers
    )


def _absorbed(connection: Connection, model_id: int, version: int) -> dict[int, tuple[LineBatch, ...]]:
    """The batches that each version of the line absorbed."""
    query = select(batches.c.number, batches.c.rows, batches.c.digest).where(batches.c.model_id == model_id)
    known = {row.number: LineBatch(**row._mapping) for row in connection.execute(query)}
    parts = learned_of(connection, model_id, version)
    return {part.version: tuple(known[batch] for batch in part.batches) for part in parts}
