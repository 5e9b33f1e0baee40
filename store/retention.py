"""Rows that are given up: by a model's retention, or because somebody asked. What was learned from them stays."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, Row, Select, and_, exists, insert, select

from store.collecting import Collecting
from store.engine import Clock, database_clock, for_writing
from store.errors import BatchNotFound, BatchWaiting
from store.queries import batches_of, descendants_of, find_model, to_model
from store.schema import batches, chunks, deletions, models, tombstones, updates, versions
from store.tombstones import bury
from store.values import Deletion, DeletionKind, ModelRow, UpdateState
from store.writes import lock_model

OPEN = (UpdateState.QUEUED, UpdateState.RUNNING)
DAY_SECONDS = 86_400.0
BATCHES_AT_ONCE = 500


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

        Rows that were not absorbed are kept, however old: they were accepted, and would be lost.

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
            if connection.execute(_due(model, self.clock(connection)).limit(1)).one_or_none() is None:
                return []
        reason = f"retention: {model.description['retention']['kind']}"
        with self.engine.begin() as connection:
            lock_model(connection, model.name)
            due = connection.execute(_due(model, self.clock(connection)).limit(BATCHES_AT_ONCE)).all()
            self._give_up(connection, model, due, Deleting(DeletionKind.RETENTION, "worker", reason))
        return [row.number for row in due]

    def _give_up(self, connection: Connection, model: ModelRow, given_up: Sequence[Row[Any]], how: Deleting) -> None:
        now = self.clock(connection)
        facts = {"kind": how.kind, "deleted_by": how.actor, "reason": how.reason, "deleted_at": now}
        if given_up:
            rows = [{"model_id": model.id, "batch": row.number} | facts for row in given_up]
            connection.execute(insert(deletions), rows)
            bury(connection, {row.digest for row in given_up}, now)


def _due(model: ModelRow, now: float) -> Select[tuple[int, str]]:
    """Batches whose rows the model does not keep any longer; the oldest first."""
    retention = model.description["retention"]
    limit = now - retention.get("days", 0.0) * DAY_SECONDS
    holds = and_(
        chunks.c.model_id == batches.c.model_id, batches.c.number.between(chunks.c.batch_first, chunks.c.batch_last)
    )
    of_chunk = (chunks.c.model_id == model.id, updates.c.model_id == model.id, updates.c.chunk == chunks.c.number)
    is_absorbed = exists().where(versions.c.model_id == model.id, versions.c.chunk == chunks.c.number)
    waits = exists().where(*of_chunk, updates.c.state.in_(OPEN))
    is_deleted = exists().where(deletions.c.model_id == batches.c.model_id, deletions.c.batch == batches.c.number)
    query = select(batches.c.number, batches.c.digest).join(chunks, holds).where(batches.c.model_id == model.id)
    query = query.where(is_absorbed, ~waits, ~is_deleted, batches.c.accepted_at <= limit)
    return query.order_by(batches.c.number)


def _must_not_wait(connection: Connection, model: ModelRow, row: Row[Any]) -> None:
    if row.chunk is None:
        raise BatchWaiting(batch=row.number, model=model.name, where="it is in no chunk yet")
    waiting = select(updates.c.number).where(updates.c.model_id == model.id, updates.c.chunk == row.chunk)
    update = connection.execute(waiting.where(updates.c.state.in_(OPEN))).scalar()
    if update is not None:
        raise BatchWaiting(batch=row.number, model=model.name, where=f"update {update} is to absorb chunk {row.chunk}")


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
        learned_by=tuple(descendants_of(connection, model.id, batch.chunk)),
    )
