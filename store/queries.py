"""The queries that reads and writes share: rows of the tables turned into values."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    FromClause,
    Row,
    ScalarSelect,
    Select,
    and_,
    bindparam,
    case,
    exists,
    func,
    select,
)
from sqlalchemy.sql import ColumnElement

from store.errors import ChunkNotFound, HeadUndecided, ModelNotFound, UpdateNotFound, VersionNotFound
from store.kinds import CloseReason, MoveKind, ParkingKind, Publication, UpdateState
from store.moments import last_shown_as
from store.schema.beside import deletions
from store.schema.learning import batches, chunks, models, moves, omissions, parkings, updates, versions
from store.values import BatchRow, ChunkRow, ModelRow, MoveRow, UpdateRow, VersionRow

IS_DELETED = exists().where(deletions.c.model_id == batches.c.model_id, deletions.c.batch == batches.c.number)
"""True of a batch whose rows were given up."""


_newest = chunks.alias("newest")
CHUNK = (
    # Chunks do not overlap: of those that begin before a batch, only the last can hold it.
    select(case((_newest.c.batch_last >= batches.c.number, _newest.c.number)))
    .where(_newest.c.model_id == batches.c.model_id, _newest.c.batch_first <= batches.c.number)
    .order_by(_newest.c.batch_first.desc())
    .limit(1)
    .correlate(batches)
    .scalar_subquery()
)
"""The chunk that a batch is in; null while it is in none."""


def decision_on(table: FromClause) -> ScalarSelect[Any]:
    """The newest decision about a batch of this table; null where there was none."""
    newest = select(parkings.c.kind).where(parkings.c.model_id == table.c.model_id, parkings.c.batch == table.c.number)
    return newest.order_by(parkings.c.seq.desc()).limit(1).correlate(table).scalar_subquery()


def is_to_be_learned(table: FromClause) -> ColumnElement[bool]:
    """True of a batch of this table that was not set aside, or was released."""
    return func.coalesce(decision_on(table), ParkingKind.RELEASE) == ParkingKind.RELEASE


OF_NAME = select(models).where(models.c.name == bindparam("name"))
"""Asked in nearly every transaction, and so built once."""


def find_model(connection: Connection, name: str) -> ModelRow:
    row = connection.execute(OF_NAME, {"name": name}).one_or_none()
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
    rows = connection.execute(updates_of(model.id).where(updates.c.number == number)).all()
    if not rows:
        raise UpdateNotFound(model=model.name, update=number)
    return to_updates(connection, model.id, rows)[0]


def find_version(connection: Connection, model: ModelRow, number: int) -> VersionRow:
    row = connection.execute(versions_of(model.id).where(versions.c.number == number)).one_or_none()
    if row is None:
        raise VersionNotFound(model=model.name, version=number)
    return to_version(row)


def newest_move(connection: Connection, model_id: int, alias: str, *, at: float | None = None) -> MoveRow | None:
    """The newest move of the alias; with `at`, the newest of those that are shown as made then or before."""
    query = moves_of(model_id, alias)
    if at is not None:
        query = query.where(moves.c.moved_at <= last_shown_as(at))
    row = connection.execute(query.order_by(moves.c.seq.desc()).limit(1)).one_or_none()
    return None if row is None else to_move(row)


def undecided_of(connection: Connection, model: ModelRow, head: MoveRow) -> int | None:
    """The version that waits for head to be moved by hand, and with it all further chunks; None: there is none."""
    if model.description.get("publish") != Publication.MANUAL:
        return None
    # What a forget published aside was not published for head.
    for_head = (versions.c.model_id == model.id, versions.c.publication != Publication.ASIDE)
    query = select(versions.c.number, versions.c.publication, versions.c.head_seq).where(*for_head)
    newest = connection.execute(query.order_by(versions.c.number.desc()).limit(1)).one()
    return newest.number if (newest.publication, newest.head_seq) == (Publication.MANUAL, head.seq) else None


def must_be_decided(connection: Connection, model: ModelRow, head: MoveRow) -> None:
    """No version waits for head to be moved by hand.

    Raises:
        HeadUndecided: one does.
    """
    if (version := undecided_of(connection, model, head)) is not None:
        raise HeadUndecided(model=model.name, version=version)


def last_closed(model_id: int | ColumnElement[int]) -> ColumnElement[int]:
    """The last batch that is in a chunk; 0 before the first chunk. Batches after it are pending."""
    newest = select(chunks.c.batch_last).where(chunks.c.model_id == model_id).order_by(chunks.c.number.desc()).limit(1)
    # Said, as SQLAlchemy finds by itself only the query next around it: else it is the last chunk of all models.
    return func.coalesce(newest.correlate(models).scalar_subquery(), 0)


def deleted_among(connection: Connection, model_id: int, chosen: Collection[int]) -> list[int]:
    """Of these batches, those whose rows were given up."""
    if not chosen:
        return []
    held = deletions.c.batch.between(min(chosen), max(chosen))
    query = select(deletions.c.batch).where(deletions.c.model_id == model_id, held).order_by(deletions.c.batch)
    return [batch for batch in connection.execute(query).scalars() if batch in chosen]


def omitted_of(connection: Connection, model_id: int, numbers: Collection[int]) -> dict[int, frozenset[int]]:
    """The batches that these updates leave out, of those that leave any out."""
    if not numbers:
        return {}
    between = omissions.c["update"].between(min(numbers), max(numbers))
    query = select(omissions.c["update"], omissions.c.batch).where(omissions.c.model_id == model_id, between)
    found = defaultdict[int, set[int]](set)
    for number, batch in connection.execute(query):
        found[number].add(batch)
    return {number: frozenset(left_out) for number, left_out in found.items()}


def decisions_on(connection: Connection, model_id: int, first: int, last: int) -> dict[int, ParkingKind]:
    """The newest decision about each batch from `first` to `last` that there was one about."""
    query = select(parkings.c.batch, parkings.c.kind).where(
        parkings.c.model_id == model_id, parkings.c.batch.between(first, last)
    )
    return {batch: ParkingKind(kind) for batch, kind in connection.execute(query.order_by(parkings.c.seq))}


def set_aside(connection: Connection, model_id: int, first: int, last: int) -> frozenset[int]:
    """The batches from `first` to `last` that are not to be learned from."""
    decided = decisions_on(connection, model_id, first, last)
    return frozenset(batch for batch, kind in decided.items() if kind != ParkingKind.RELEASE)


def next_number(connection: Connection, model_id: int, number: Column[int], *of: ColumnElement[bool]) -> int:
    query = select(func.coalesce(func.max(number), 0)).where(number.table.c.model_id == model_id, *of)
    return int(connection.execute(query).scalar_one()) + 1


def batch_totals(model_id: int | ColumnElement[int]) -> Select[Any]:
    rows = func.coalesce(func.sum(batches.c.rows), 0)
    return select(func.count().label("batches"), rows.label("rows")).where(batches.c.model_id == model_id)


def count_versions(connection: Connection, model_id: int) -> int:
    # They are numbered without a gap, and version 0 is the root prior: nothing was learned for it.
    query = select(func.coalesce(func.max(versions.c.number), 0)).where(versions.c.model_id == model_id)
    return int(connection.execute(query).scalar_one())


def aliases_of(connection: Connection, model_id: int) -> dict[str, int]:
    """Every alias that points at a version, in the order of their names, with that version."""
    return {move.alias: move.version for move in newest_moves(connection, model_id) if move.version is not None}


def newest_moves(connection: Connection, model_id: int) -> list[MoveRow]:
    """The newest move of each alias, in the order of their names.

    From name to name by the index: an alias may have any number of moves.
    """
    first = select(func.min(moves.c.alias).label("alias")).where(moves.c.model_id == model_id)
    named = first.cte("named", recursive=True)
    later = select(func.min(moves.c.alias)).where(moves.c.model_id == model_id, moves.c.alias > named.c.alias)
    after = select(later.correlate(named).scalar_subquery()).where(named.c.alias.is_not(None))
    named = named.union_all(after)
    newest = select(func.max(moves.c.seq)).where(moves.c.model_id == model_id, moves.c.alias == named.c.alias)
    this = and_(moves.c.alias == named.c.alias, moves.c.seq == newest.correlate(named).scalar_subquery())
    query = _moves().join(named, this).where(moves.c.model_id == model_id)
    return sorted(map(to_move, connection.execute(query)), key=lambda move: move.alias)


def batches_of(model_id: int) -> Select[Any]:
    gone = and_(deletions.c.model_id == batches.c.model_id, deletions.c.batch == batches.c.number)
    columns = select(batches, CHUNK.label("chunk"), deletions.c.deleted_at, decision_on(batches).label("aside"))
    return columns.select_from(batches.outerjoin(deletions, gone)).where(batches.c.model_id == model_id)


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
    return _moves().where(moves.c.model_id == model_id, moves.c.alias == alias)


def _moves() -> Select[Any]:
    """Moves, each with where its alias pointed before."""
    earlier = moves.alias("earlier")
    of_alias = (earlier.c.model_id == moves.c.model_id, earlier.c.alias == moves.c.alias)
    # Not joined: where PostgreSQL knows nothing of the table yet, it would read all moves again for each.
    previous = select(earlier.c.version).where(*of_alias, earlier.c.seq == moves.c.seq - 1).correlate(moves)
    return select(moves, previous.scalar_subquery().label("previous"))


def to_model(row: Row[Any]) -> ModelRow:
    return ModelRow(**row._mapping)


def to_batch(row: Row[Any]) -> BatchRow:
    plain = {name: row._mapping[name] for name in BatchRow.__dataclass_fields__ if name != "aside"}
    aside = row._mapping["aside"]
    return BatchRow(aside=None if aside in {None, ParkingKind.RELEASE} else ParkingKind(aside), **plain)


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


def to_updates(connection: Connection, model_id: int, rows: Sequence[Row[Any]]) -> list[UpdateRow]:
    """The updates, each with what it leaves out."""
    omitted = omitted_of(connection, model_id, [row.number for row in rows])
    apart = {"chunk", "state", "omitted"}
    return [
        UpdateRow(
            chunk=to_chunk(row, "chunk"),
            state=UpdateState(row.state),
            omitted=omitted.get(row.number, frozenset()),
            **{name: row._mapping[name] for name in UpdateRow.__dataclass_fields__ if name not in apart},
        )
        for row in rows
    ]


def to_version(row: Row[Any]) -> VersionRow:
    plain = {name: row._mapping[name] for name in VersionRow.__dataclass_fields__ if name != "publication"}
    return VersionRow(publication=Publication(row._mapping["publication"]), **plain)


def to_move(row: Row[Any]) -> MoveRow:
    plain = {name: row._mapping[name] for name in MoveRow.__dataclass_fields__ if name != "kind"}
    return MoveRow(kind=MoveKind(row._mapping["kind"]), **plain)
