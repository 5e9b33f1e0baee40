"""The queries that reads and writes share: rows of the tables turned into values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from sqlalchemy import CTE, Connection, Row, Select, and_, exists, func, select
from sqlalchemy.sql import ColumnElement

from store.errors import ChunkNotFound, ModelNotFound, UpdateNotFound, VersionNotFound
from store.schema import batches, chunks, deletions, models, moves, updates, versions
from store.values import (
    BatchRow,
    ChunkRow,
    CloseReason,
    Evidence,
    ModelRow,
    MoveKind,
    MoveRow,
    Publication,
    UpdateRow,
    UpdateState,
    VersionRow,
)

IS_DELETED = exists().where(deletions.c.model_id == batches.c.model_id, deletions.c.batch == batches.c.number)
"""True of a batch whose rows were given up."""


def find_model(connection: Connection, name: str) -> ModelRow:
    row = connection.execute(select(models).where(models.c.name == name)).one_or_none()
    if row is None:
        raise ModelNotFound(model=name)
    return to_model(row)


def find_chunk(connection: Connection, model: ModelRow, number: int) -> ChunkRow:
    query = select(chunks).where(chunks.c.model_id == model.id, chunks.c.number == number)
    row = connection.execute(query).one_or_none()
    if row is None:
        raise ChunkNotFound(model=model.name, chunk=number)
    return to_chunk(row)


def find_update(connection: Connection, model: ModelRow, number: int) -> UpdateRow:
    row = connection.execute(updates_of(model.id).where(updates.c.number == number)).one_or_none()
    if row is None:
        raise UpdateNotFound(model=model.name, update=number)
    return to_update(row)


def find_version(connection: Connection, model: ModelRow, number: int) -> VersionRow:
    row = connection.execute(versions_of(model.id).where(versions.c.number == number)).one_or_none()
    if row is None:
        raise VersionNotFound(model=model.name, version=number)
    return to_version(row)


def newest_move(connection: Connection, model_id: int, alias: str) -> MoveRow | None:
    row = connection.execute(moves_of(model_id, alias).order_by(moves.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else to_move(row)


def last_closed(model_id: int | ColumnElement[int]) -> ColumnElement[int]:
    """The last batch that is in a chunk; 0 before the first chunk. Batches after it are pending."""
    newest = select(func.coalesce(func.max(chunks.c.batch_last), 0)).where(chunks.c.model_id == model_id)
    return newest.scalar_subquery()


def line_of(connection: Connection, model_id: int, version: int) -> list[int]:
    """The versions from this one to the root, this one first."""
    line = _line(model_id, version)
    return list(connection.execute(select(line.c.number).order_by(line.c.number.desc())).scalars())


def evidence_of(connection: Connection, model_id: int, version: int) -> Evidence:
    line = _line(model_id, version)
    on = and_(chunks.c.model_id == model_id, chunks.c.number == line.c.chunk)
    query = select(chunks).join(line, on).order_by(chunks.c.number)
    return Evidence(tuple(to_chunk(row) for row in connection.execute(query)))


def _line(model_id: int, version: int) -> CTE:
    columns = (versions.c.number, versions.c.parent, versions.c.chunk)
    here = (versions.c.model_id == model_id, versions.c.number == version)
    line = select(*columns).where(*here).cte("line", recursive=True)
    on = and_(versions.c.model_id == model_id, versions.c.number == line.c.parent)
    return line.union_all(select(*columns).join(line, on))


def descendants_of(connection: Connection, model_id: int, chunk: int) -> list[int]:
    """The versions that have learned from the chunk: those that absorbed it, and all that were learned from them."""
    columns = (versions.c.number,)
    born = select(*columns).where(versions.c.model_id == model_id, versions.c.chunk == chunk)
    later = born.cte("later", recursive=True)
    on = and_(versions.c.model_id == model_id, versions.c.parent == later.c.number)
    # Of a version that absorbed a chunk, no descendant does: nothing comes twice.
    later = later.union_all(select(*columns).join(later, on))
    return list(connection.execute(select(later.c.number).order_by(later.c.number)).scalars())


def deleted_of(connection: Connection, model_id: int, chunk: ChunkRow) -> list[int]:
    """The batches of the chunk whose rows were given up."""
    held = deletions.c.batch.between(chunk.batch_first, chunk.batch_last)
    query = select(deletions.c.batch).where(deletions.c.model_id == model_id, held).order_by(deletions.c.batch)
    return list(connection.execute(query).scalars())


def batch_totals(model_id: int) -> Select[Any]:
    rows = func.coalesce(func.sum(batches.c.rows), 0)
    return select(func.count().label("batches"), rows.label("rows")).where(batches.c.model_id == model_id)


def count_versions(connection: Connection, model_id: int) -> int:
    query = select(func.count()).select_from(versions)
    # Version 0 is the root prior: nothing was learned for it.
    return connection.execute(query.where(versions.c.model_id == model_id, versions.c.number > 0)).scalar_one()


def batches_of(model_id: int) -> Select[Any]:
    on = and_(
        chunks.c.model_id == batches.c.model_id,
        batches.c.number.between(chunks.c.batch_first, chunks.c.batch_last),
    )
    gone = and_(deletions.c.model_id == batches.c.model_id, deletions.c.batch == batches.c.number)
    columns = select(batches, chunks.c.number.label("chunk"), deletions.c.deleted_at)
    chosen = columns.select_from(batches.outerjoin(chunks, on).outerjoin(deletions, gone))
    return chosen.where(batches.c.model_id == model_id)


def updates_of(model_id: int) -> Select[Any]:
    of_chunk = and_(chunks.c.model_id == updates.c.model_id, chunks.c.number == updates.c.chunk)
    of_version = and_(versions.c.model_id == updates.c.model_id, versions.c.update == updates.c.number)
    columns = select(
        updates,
        chunks.c.batch_first,
        chunks.c.batch_last,
        chunks.c.rows,
        chunks.c.reason,
        chunks.c.closed_at,
        versions.c.number.label("version"),
        versions.c.report,
    )
    joined = updates.join(chunks, of_chunk).outerjoin(versions, of_version)
    return columns.select_from(joined).where(updates.c.model_id == model_id)


def versions_of(model_id: int) -> Select[Any]:
    return select(versions).where(versions.c.model_id == model_id)


def moves_of(model_id: int, alias: str) -> Select[Any]:
    earlier = moves.alias("earlier")
    on = and_(
        earlier.c.model_id == moves.c.model_id,
        earlier.c.alias == moves.c.alias,
        earlier.c.seq == moves.c.seq - 1,
    )
    chosen = select(moves, earlier.c.version.label("previous")).select_from(moves.outerjoin(earlier, on))
    return chosen.where(moves.c.model_id == model_id, moves.c.alias == alias)


def to_model(row: Row[Any]) -> ModelRow:
    return ModelRow(**row._mapping)


def to_batch(row: Row[Any]) -> BatchRow:
    return BatchRow(**{name: row._mapping[name] for name in BatchRow.__dataclass_fields__})


def to_chunk(row: Row[Any], number: str = "number") -> ChunkRow:
    facts = row._mapping
    return ChunkRow(
        number=facts[number],
        batch_first=facts["batch_first"],
        batch_last=facts["batch_last"],
        rows=facts["rows"],
        reason=CloseReason(facts["reason"]),
        closed_at=facts["closed_at"],
    )


def to_update(row: Row[Any]) -> UpdateRow:
    plain = {name: row._mapping[name] for name in UpdateRow.__dataclass_fields__ if name not in {"chunk", "state"}}
    return UpdateRow(chunk=to_chunk(row, "chunk"), state=UpdateState(row._mapping["state"]), **plain)


def to_version(row: Row[Any]) -> VersionRow:
    plain = {name: row._mapping[name] for name in VersionRow.__dataclass_fields__ if name != "publication"}
    return VersionRow(publication=Publication(row._mapping["publication"]), **plain)


def to_move(row: Row[Any]) -> MoveRow:
    plain = {name: row._mapping[name] for name in MoveRow.__dataclass_fields__ if name != "kind"}
    return MoveRow(kind=MoveKind(row._mapping["kind"]), **plain)


def label_counts_of(connection: Connection, model_id: int, learned: Iterable[ChunkRow]) -> Counter[str]:
    """How many rows of each label these chunks hold."""
    numbers = {batch for chunk in learned for batch in chunk.batches}
    totals: Counter[str] = Counter()
    if not numbers:
        return totals
    query = select(batches.c.number, batches.c.label_counts).where(
        batches.c.model_id == model_id, batches.c.number.between(min(numbers), max(numbers))
    )
    for row in connection.execute(query):
        if row.number in numbers:
            totals.update(row.label_counts)
    return totals
