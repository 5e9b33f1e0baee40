"""Batches that are set aside: parked until somebody decides, released, or discarded. One call is one transaction.

Nothing learns from a batch while the newest decision about it is another than to release it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Engine, Row, and_, exists, func, insert, select, update
from sqlalchemy.sql import ColumnElement

from store.closing import close_if_full
from store.engine import Clock, database_clock, for_writing
from store.errors import BatchAbsorbed, BatchForgotten, BatchNotFound, BatchNotParked, RowsDeleted
from store.events import tell
from store.kinds import OPEN, EventKind, ParkingKind, UpdateState
from store.queries import (
    batches_of,
    find_model,
    next_number,
    to_batch,
)
from store.schema.learning import batches, omissions, parkings, updates
from store.tree import learned_among
from store.values import BatchRow, Json, ModelRow, UpdateRow
from store.waker import announce
from store.writes import head_of, lock_model, queue_update

LIMIT = 100

TOLD = {
    ParkingKind.PARK: EventKind.PARKED,
    ParkingKind.RELEASE: EventKind.RELEASED,
    ParkingKind.DISCARD: EventKind.DISCARDED,
    ParkingKind.FORGET: EventKind.DISCARDED,
}


@dataclass(frozen=True)
class ParkingRow:
    """A decision about a batch."""

    batch: int
    seq: int
    kind: ParkingKind
    decided_by: str
    reason: str
    facts: Json
    """What led to it, as the surprise of its rows."""
    decided_at: float


@dataclass(frozen=True)
class Decision:
    kind: ParkingKind
    actor: str
    reason: str = ""
    facts: Json = field(default_factory=dict)


class Parking:
    """What clients decide about batches; `clock` tells the time inside a transaction, by default the database's."""

    def __init__(self, engine: Engine, *, clock: Clock = database_clock) -> None:
        self.engine = for_writing(engine)
        self.reading = engine
        self.clock = clock

    def park(self, name: str, numbers: Sequence[int], *, actor: str, reason: str = "") -> list[BatchRow]:
        """Nothing learns from these batches until they are released; an update that was about to begins anew.

        Raises:
            BatchNotFound: there is no such batch.
            BatchAbsorbed: head has learned from one; nothing changed.
            BatchForgotten: one was forgotten.
            RowsDeleted: the rows of one are gone.
        """
        return self._set_aside(name, numbers, Decision(ParkingKind.PARK, actor, reason))

    def discard(self, name: str, numbers: Sequence[int], *, actor: str, reason: str = "") -> list[BatchRow]:
        """Nothing will learn from these batches, unless they are released before their rows are deleted.

        Raises:
            BatchNotFound, BatchAbsorbed, BatchForgotten: as from `park`.
        """
        return self._set_aside(name, numbers, Decision(ParkingKind.DISCARD, actor, reason))

    def release(self, name: str, numbers: Sequence[int], *, actor: str, reason: str = "") -> list[UpdateRow]:
        """These parked or discarded batches are to be learned from; the updates that wait to do so.

        Those that are in no chunk yet go into the next one, which is closed at once where they fill it.

        Raises:
            BatchNotFound, BatchNotParked: one does not exist, or is not set aside; nothing changed.
            BatchForgotten: one was forgotten.
            RowsDeleted: the rows of one are gone.
        """
        with self.engine.begin() as connection:
            model, now = lock_model(connection, name), self.clock(connection)
            chosen = [_find(connection, model, number) for number in dict.fromkeys(numbers)]
            for batch in chosen:
                _must_not_be_forgotten(model, batch)
                if batch.aside not in {ParkingKind.PARK, ParkingKind.DISCARD}:
                    raise BatchNotParked(batch=batch.number, model=name)
                if batch.deleted_at is not None:
                    raise RowsDeleted(model=name, batches=batch.number)
            for batch in chosen:
                decide(connection, model, batch.number, Decision(ParkingKind.RELEASE, actor, reason), now=now)
            waiting = self._queue(connection, model, chosen, now)
            if (full := close_if_full(connection, model, now=now)) is not None:
                waiting.append(full)
            announce(connection)
            return waiting

    def parked(self, name: str, *, after: int = 0, limit: int = LIMIT) -> list[tuple[BatchRow, ParkingRow]]:
        """The batches that wait for a decision, with what is known of why; in the order of their numbers."""
        with self.reading.begin() as connection:
            model = find_model(connection, name)
            newer = parkings.alias("newer")
            this = (newer.c.model_id == parkings.c.model_id, newer.c.batch == parkings.c.batch)
            is_newest = ~exists().where(*this, newer.c.seq > parkings.c.seq)
            of_model = (parkings.c.model_id == model.id, parkings.c.batch > after)
            waiting = select(parkings).where(*of_model, parkings.c.kind == ParkingKind.PARK, is_newest)
            query = waiting.order_by(parkings.c.batch).limit(limit)
            why = {row.batch: _to_decision(row) for row in connection.execute(query)}
            found = connection.execute(batches_of(model.id).where(batches.c.number.in_(why)))
            rows = sorted(map(to_batch, found), key=lambda row: row.number)
            return [(row, why[row.number]) for row in rows]

    def decisions(self, name: str, number: int) -> list[ParkingRow]:
        """Every decision about the batch, the oldest first."""
        with self.reading.begin() as connection:
            return decisions_about(connection, find_model(connection, name), number)

    def _set_aside(self, name: str, numbers: Sequence[int], how: Decision) -> list[BatchRow]:
        with self.engine.begin() as connection:
            model, now = lock_model(connection, name), self.clock(connection)
            head = head_of(connection, model)
            for number in numbers:
                batch = _find(connection, model, number)
                _must_not_be_forgotten(model, batch)
                if batch.chunk is not None and learned_among(
                    connection, model.id, head, chunk=batch.chunk, among=[number]
                ):
                    raise BatchAbsorbed(batch=number, model=name, head=head)
                if how.kind == ParkingKind.PARK and batch.deleted_at is not None:
                    raise RowsDeleted(model=name, batches=number)
                if batch.aside != how.kind:
                    decide(connection, model, number, how, now=now)
                if batch.chunk is not None:
                    give_back(connection, model, _learns_from(batch))
            announce(connection)
            return [_find(connection, model, number) for number in numbers]

    def _queue(
        self, connection: Connection, model: ModelRow, released: Sequence[BatchRow], now: float
    ) -> list[UpdateRow]:
        """For each chunk, an update of the released batches alone, unless one that has them waits already."""
        queued = []
        for number in dict.fromkeys(batch.chunk for batch in released if batch.chunk is not None):
            own = {batch.number for batch in released if batch.chunk == number}
            own -= _waited_for(connection, model, own, chunk=number)
            if own:
                queued.append(queue_update(connection, model, number, now=now, only=own))
        return queued


def _waited_for(connection: Connection, model: ModelRow, chosen: set[int], *, chunk: int) -> set[int]:
    """Those of these batches of the chunk that some open update does not leave out."""
    open_ = (updates.c.model_id == model.id, updates.c.chunk == chunk, updates.c.state.in_(OPEN))
    waiting = list(connection.execute(select(updates.c.number).where(*open_)).scalars())
    here = (omissions.c.model_id == model.id, omissions.c["update"].in_(waiting), omissions.c.batch.in_(chosen))
    by_all = select(omissions.c.batch).where(*here).group_by(omissions.c.batch).having(func.count() == len(waiting))
    return chosen - set(connection.execute(by_all).scalars()) if waiting else set()


def decide(connection: Connection, model: ModelRow, number: int, how: Decision, *, now: float) -> None:
    """The newest decision about the batch is this one."""
    seq = next_number(connection, model.id, parkings.c.seq, parkings.c.batch == number)
    facts = {"kind": how.kind, "decided_by": how.actor, "reason": how.reason, "facts": how.facts, "decided_at": now}
    connection.execute(insert(parkings).values(model_id=model.id, batch=number, seq=seq, **facts))
    told = {"batch": number, "by": how.actor, "reason": how.reason}
    tell(connection, model.id, TOLD[how.kind], told | ({"surprise": how.facts} if how.facts else {}), at=now)


def decisions_about(connection: Connection, model: ModelRow, number: int) -> list[ParkingRow]:
    """Every decision about the batch, the oldest first."""
    query = select(parkings).where(parkings.c.model_id == model.id, parkings.c.batch == number)
    return [_to_decision(row) for row in connection.execute(query.order_by(parkings.c.seq))]


def give_back(connection: Connection, model: ModelRow, chosen: ColumnElement[bool]) -> None:
    """A running update of these waits in the queue again; whoever holds it finds its lease gone."""
    running = (updates.c.model_id == model.id, updates.c.state == UpdateState.RUNNING, chosen)
    waiting = {"state": UpdateState.QUEUED, "owner": None, "lease_until": None, "step": None, "steps": None}
    connection.execute(update(updates).where(*running).values(waiting))


def _learns_from(batch: BatchRow) -> ColumnElement[bool]:
    this = (omissions.c.model_id == updates.c.model_id, omissions.c["update"] == updates.c.number)
    is_left_out = exists().where(*this, omissions.c.batch == batch.number)
    return and_(updates.c.chunk == batch.chunk, ~is_left_out)


def _to_decision(row: Row[Any]) -> ParkingRow:
    plain = {name: row._mapping[name] for name in ParkingRow.__dataclass_fields__ if name != "kind"}
    return ParkingRow(kind=ParkingKind(row.kind), **plain)


def _must_not_be_forgotten(model: ModelRow, batch: BatchRow) -> None:
    if batch.aside == ParkingKind.FORGET:
        raise BatchForgotten(batch=batch.number, model=model.name)


def _find(connection: Connection, model: ModelRow, number: int) -> BatchRow:
    row = connection.execute(batches_of(model.id).where(batches.c.number == number)).one_or_none()
    if row is None:
        raise BatchNotFound(model=model.name, batch=number)
    return to_batch(row)
