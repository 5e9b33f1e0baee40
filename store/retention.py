"""Rows that are given up: by a model's retention, or because somebody asked. What was learned from them stays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, exists, func, insert, select

from store.collecting import Collecting
from store.engine import Clock, database_clock, for_writing
from store.errors import BatchNotFound, BatchWaiting
from store.events import tell_all
from store.kinds import GIVEN_UP, OPEN, DeletionKind, EventKind, ParkingKind, UpdateState
from store.queries import IS_DELETED, batches_of, decisions_on, find_model, omitted_of, to_chunk, to_model
from store.schema.beside import deletions, tombstones
from store.schema.learning import batches, chunks, models, updates, versions
from store.tombstones import bury
from store.tree import born_of, descendants_of, learned_by_heads
from store.values import ChunkRow, ModelRow
from store.writes import lock_model

DAY_SECONDS = 86_400.0


@dataclass(frozen=True)
class Deletion:
    """A batch whose rows were given up; what it was, and what was learned from it, stays known."""

    batch: int
    digest: str
    kind: DeletionKind
    deleted_by: str
    reason: str
    deleted_at: float
    bytes_removed: bool
    """False: something else has the same bytes, or they are still to be removed."""
    learned_by: tuple[int, ...]
    """The versions that have the batch in their evidence."""


@dataclass(frozen=True)
class Deleting:
    """Who gives the rows up, and why."""

    kind: DeletionKind
    actor: str
    reason: str


class Retention:
    """Deletes the rows of batches, and their bytes where no other row names them."""

    def __init__(self, engine: Engine, collecting: Collecting, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.collecting = collecting
        self.clock = clock

    def delete(self, name: str, number: int, *, actor: str, reason: str = "") -> Deletion:
        """The batch's rows are given up, for good; what has learned from them. Once more: the same answer.

        Raises:
            BatchNotFound: there is none.
            BatchWaiting: it is pending, or an update that is to absorb it is queued or running.
        """
        with self.engine.begin() as connection:
            model = lock_model(connection, name)
            row = connection.execute(batches_of(model.id).where(batches.c.number == number)).one_or_none()
            if row is None:
                raise BatchNotFound(model=name, batch=number)
            if row.deleted_at is None:
                _must_not_wait(connection, model, row)
                self._give_up(connection, model, [row], Deleting(DeletionKind.DEMAND, actor, reason))
        # Where the store does not answer, the tombstone stays, and a worker's sweep removes the bytes.
        with suppress(OSError):
            self.collecting.sweep([row.digest])
        found = self.deletion(name, number)
        assert found is not None
        return found

    def deletion(self, name: str, number: int) -> Deletion | None:
        """How the batch's rows were given up; None while they are kept."""
        with self.reading.begin() as connection:
            model = find_model(connection, name)
            return _deletion(connection, model, number) if _is_deleted(connection, model, number) else None

    def apply(self) -> list[tuple[str, int]]:
        """What the models' retention does not keep any longer is given up; the (model, batch) pairs.

        Rows that were not absorbed are kept, however old: they were accepted, and would be lost. So are those that only
        versions have learned from which were held back and to which head never moved.

        Raises:
            OSError: bytes could not be removed; the next call goes on.
        """
        given_up = [(model.name, batch) for model in self._limited() for batch in self._apply(model)]
        self.collecting.sweep()
        return given_up

    def _limited(self) -> list[ModelRow]:
        kind = models.c.description["retention"]["kind"].as_string()
        with self.reading.begin() as connection:
            query = select(models).where(kind != "keep").order_by(models.c.id)
            return [to_model(row) for row in connection.execute(query)]

    def _apply(self, model: ModelRow) -> list[int]:
        with self.reading.begin() as connection:
            absorbed = [to_chunk(row) for row in connection.execute(_absorbed(model))]
        given_up: list[int] = []
        for chunk in absorbed:
            given_up += self._apply_to(model, chunk)
        return given_up

    def _apply_to(self, model: ModelRow, chunk: ChunkRow) -> list[int]:
        with self.reading.begin() as connection:
            if not _due(connection, model, chunk, self.clock(connection)):
                return []
        reason = f"retention: {model.description['retention']['kind']}"
        with self.engine.begin() as connection:
            lock_model(connection, model.name)
            # Since the look a replay may have begun to wait for the rows.
            this = connection.execute(_absorbed(model).where(chunks.c.number == chunk.number)).one_or_none()
            due = [] if this is None else _due(connection, model, chunk, self.clock(connection))
            self._give_up(connection, model, due, Deleting(DeletionKind.RETENTION, "worker", reason))
        return [row.number for row in due]

    def _give_up(self, connection: Connection, model: ModelRow, given_up: Sequence[Row[Any]], how: Deleting) -> None:
        now = self.clock(connection)
        facts = {"kind": how.kind, "deleted_by": how.actor, "reason": how.reason, "deleted_at": now}
        if given_up:
            rows = [{"model_id": model.id, "batch": row.number} | facts for row in given_up]
            connection.execute(insert(deletions), rows)
            told = {"why": str(how.kind), "by": how.actor, "reason": how.reason}
            happened = [(EventKind.DELETED, {"batch": row.number} | told) for row in given_up]
            tell_all(connection, model.id, happened, at=now)
            bury(connection, {row.digest for row in given_up}, now)


def _absorbed(model: ModelRow) -> Select[Any]:
    """Chunks that a version has learned from, that no update waits for, and that have rows left; the oldest first."""
    in_chunk = (
        deletions.c.model_id == chunks.c.model_id,
        deletions.c.batch.between(chunks.c.batch_first, chunks.c.batch_last),
    )
    gone = select(func.count()).where(*in_chunk)
    is_absorbed = exists().where(versions.c.model_id == chunks.c.model_id, versions.c.chunk == chunks.c.number)
    of_chunk = (updates.c.model_id == chunks.c.model_id, updates.c.chunk == chunks.c.number)
    waits = exists().where(*of_chunk, updates.c.state.in_(OPEN))
    query = select(chunks).where(chunks.c.model_id == model.id, is_absorbed, ~waits)
    query = query.where(gone.scalar_subquery() < chunks.c.batch_last - chunks.c.batch_first + 1)
    return query.order_by(chunks.c.number)


def _due(connection: Connection, model: ModelRow, chunk: ChunkRow, now: float) -> Sequence[Row[Any]]:
    """The batches of the chunk whose rows the model does not keep any longer."""
    limit = now - model.description["retention"].get("days", 0.0) * DAY_SECONDS
    query = select(batches.c.number, batches.c.digest).where(
        batches.c.model_id == model.id,
        batches.c.number.between(chunk.batch_first, chunk.batch_last),
        batches.c.accepted_at <= limit,
        ~IS_DELETED,
    )
    # What only a version beside head's line has learned from, head may still have to: it is kept.
    learned = learned_by_heads(connection, model.id, chunk.number)
    decided = decisions_on(connection, model.id, chunk.batch_first, chunk.batch_last)
    given_up = learned | {batch for batch, kind in decided.items() if kind in GIVEN_UP}
    # What waits for a decision is kept, also where a version beside head's line has learned from it.
    given_up -= {batch for batch, kind in decided.items() if kind == ParkingKind.PARK}
    found: Sequence[Any] = connection.execute(query.order_by(batches.c.number)).all()
    return [row for row in found if row.number in given_up]


def _must_not_wait(connection: Connection, model: ModelRow, row: Row[Any]) -> None:
    if row.aside == ParkingKind.PARK:
        raise BatchWaiting(batch=row.number, model=model.name, where="it is parked: release or discard it first")
    if row.chunk is None:
        if row.aside in GIVEN_UP:
            return
        raise BatchWaiting(batch=row.number, model=model.name, where="it is in no chunk yet")
    waiting = select(updates.c.number, updates.c.state).where(
        updates.c.model_id == model.id, updates.c.chunk == row.chunk, updates.c.state.in_(OPEN)
    )
    found = connection.execute(waiting).all()
    omitted = omitted_of(connection, model.id, [update.number for update in found])
    for number, state in found:
        # A queued one leaves out, once it is claimed, what was set aside by then.
        is_left_out = state == UpdateState.QUEUED and row.aside in GIVEN_UP
        if not is_left_out and row.number not in omitted.get(number, frozenset()):
            where = f"update {number} is to absorb chunk {row.chunk}"
            raise BatchWaiting(batch=row.number, model=model.name, where=where)


def _learned_by(connection: Connection, model: ModelRow, batch: Row[Any]) -> list[int]:
    parts = [] if batch.chunk is None else born_of(connection, model.id, batch.chunk)
    born = [part.version for part in parts if batch.number in part.batches]
    return descendants_of(connection, model.id, born) if born else []


def _is_deleted(connection: Connection, model: ModelRow, number: int) -> bool:
    query = select(deletions.c.batch).where(deletions.c.model_id == model.id, deletions.c.batch == number)
    return connection.execute(query).one_or_none() is not None


def _deletion(connection: Connection, model: ModelRow, number: int) -> Deletion:
    this = and_(deletions.c.model_id == model.id, deletions.c.batch == number)
    row = connection.execute(select(deletions).where(this)).one()
    batch = connection.execute(batches_of(model.id).where(batches.c.number == number)).one()
    is_gone = and_(tombstones.c.digest == batch.digest, tombstones.c.removed_at.is_not(None))
    return Deletion(
        batch=number,
        digest=batch.digest,
        kind=DeletionKind(row.kind),
        deleted_by=row.deleted_by,
        reason=row.reason,
        deleted_at=row.deleted_at,
        bytes_removed=connection.execute(select(tombstones).where(is_gone)).one_or_none() is not None,
        learned_by=tuple(_learned_by(connection, model, batch)),
    )
