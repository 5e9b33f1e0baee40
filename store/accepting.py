"""Batches of one model are accepted, many in one transaction, with the answers each would have had alone."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Integer, Select, and_, bindparam, exists, func, insert, select
from sqlalchemy.sql import ColumnElement

from store.errors import IdempotencyKeyReused
from store.events import tell_all
from store.kinds import EventKind
from store.queries import batch_totals, batches_of, is_to_be_learned, last_closed, to_batch
from store.schema.learning import batches, models, parkings
from store.tombstones import mark_returned, must_not_be_buried
from store.values import Accepted, BatchRow, Json, ModelRow

# Asked of every batch, and so built once: to build a query takes longer than to ask it.
MODEL_ID = bindparam("model_id", type_=Integer)
KNOWN_KEYS = select(batches.c.key).where(
    batches.c.model_id == MODEL_ID, batches.c.key.in_(bindparam("keys", expanding=True))
)
NEWEST_BATCH = select(func.coalesce(func.max(batches.c.number), 0)).where(batches.c.model_id == MODEL_ID)


@dataclass(frozen=True)
class Posted:
    """A batch as it asks to be accepted."""

    key: str
    digest: str
    rows: int
    label_counts: dict[str, int]
    traceparent: str | None = None


Answer = Accepted | IdempotencyKeyReused


def accept_in_order(
    connection: Connection,
    model: ModelRow,
    posted: Sequence[Posted],
    *,
    now: float,
    close: Callable[[Connection, ModelRow], int],
) -> list[Answer]:
    """Each batch is stored once under its key, as if they had come one after the other; their answers, in this order.

    `close` closes the pending rows into a chunk, where they reach the model's size, and returns its number. The caller
    holds the model's lock, so nobody stores a batch between our look and our insert; else the unique keys refuse ours.

    Raises:
        BlobBuried: bytes that a new batch names are being removed; nothing was stored.
    """
    known = batches_named(connection, model.id, [one.key for one in posted])
    must_not_be_buried(connection, {one.digest for one in posted if one.key not in known})
    # The rows of a replay may have been deleted since somebody looked and wrote them; they are to go again.
    mark_returned(connection, {batch.digest for batch in known.values() if batch.deleted_at is not None})
    number = connection.execute(NEWEST_BATCH, {"model_id": model.id}).scalar_one() + 1
    pending = pending_rows(connection, model.id)
    answers: list[Answer] = []
    new: list[BatchRow] = []
    for one in posted:
        if (batch := known.get(one.key)) is not None:
            answers.append(_again(model.name, one, batch))
            continue
        batch = BatchRow(number=number + len(new), accepted_at=now, chunk=None, **vars(one))
        answers.append(Accepted(batch, is_replay=False))
        known[one.key] = batch
        new.append(batch)
        pending += one.rows
        if pending >= model.description["chunk"]["rows"]:
            _insert(connection, model, new, now)
            number, pending, new = number + len(new), 0, []
            chunk = close(connection, model)
            known = {key: batch if batch.chunk else replace(batch, chunk=chunk) for key, batch in known.items()}
    _insert(connection, model, new, now)
    return answers


def batches_named(connection: Connection, model_id: int, keys: Collection[str]) -> dict[str, BatchRow]:
    """The batches of the model that these keys name, by key."""
    known = list(connection.execute(KNOWN_KEYS, {"model_id": model_id, "keys": list(keys)}).scalars())
    if not known:
        return {}
    found = connection.execute(batches_of(model_id).where(batches.c.key.in_(known)))
    return {row.key: to_batch(row) for row in found}


def needs_no_bytes(name: str, posted: Posted, batch: BatchRow) -> Answer | None:
    """The answer to a key that names this batch, where none of its bytes are to be written; None: they are.

    Bytes that should be there are written again, as they may be damaged. Those of deleted rows are not.
    """
    is_settled = batch.digest != posted.digest or batch.deleted_at is not None
    return _again(name, posted, batch) if is_settled else None


def pending_totals(model_id: int | ColumnElement[int]) -> Select[Any]:
    """How many batches and rows wait outside a chunk and are to be learned from."""
    waiting = batch_totals(model_id).where(batches.c.number > last_closed(model_id))
    # Mostly nothing was ever set aside, and the batches need not be asked one by one.
    decided = exists().where(parkings.c.model_id == model_id, parkings.c.batch > last_closed(model_id))
    return waiting.where(~decided | is_to_be_learned(batches))


PENDING = pending_totals(MODEL_ID)


def pending_rows(connection: Connection, model_id: int) -> int:
    """How many rows wait outside a chunk and are to be learned from."""
    return int(connection.execute(PENDING, {"model_id": model_id}).one().rows)


def overdue(connection: Connection, now: float, *of: ColumnElement[bool]) -> list[str]:
    """Models (those of them, if given) whose oldest pending batch has waited as long as they allow."""
    waiting = batches.alias("waiting")
    oldest = (
        select(waiting.c.number)
        .where(waiting.c.model_id == models.c.id, waiting.c.number > last_closed(models.c.id))
        .where(is_to_be_learned(waiting))
        .order_by(waiting.c.number)
        .limit(1)
    )
    pending = batches.c.number == oldest.scalar_subquery()
    joined = models.join(batches, and_(batches.c.model_id == models.c.id, pending))
    query = select(models.c.name, models.c.description, batches.c.accepted_at).select_from(joined).where(*of)
    return [
        row.name
        for row in connection.execute(query)
        if (seconds := row.description["chunk"]["seconds"]) is not None and row.accepted_at + seconds <= now
    ]


def _again(name: str, posted: Posted, batch: BatchRow) -> Answer:
    """The answer to a key that names this batch."""
    if batch.digest != posted.digest:
        return IdempotencyKeyReused(key=posted.key, batch=batch.number, model=name)
    return Accepted(batch, is_replay=True)


def _insert(connection: Connection, model: ModelRow, new: Sequence[BatchRow], now: float) -> None:
    if new:
        connection.execute(insert(batches), [_columns(model, batch) for batch in new])
        accepted = [(EventKind.ACCEPTED, {"batch": batch.number, "rows": batch.rows}) for batch in new]
        tell_all(connection, model.id, accepted, at=now)


def _columns(model: ModelRow, batch: BatchRow) -> Json:
    facts = dict(vars(batch))
    # Which chunk a batch is in follows from the chunks' ranges; the rest is in tables of its own.
    del facts["chunk"], facts["deleted_at"], facts["aside"]
    return {"model_id": model.id, **facts}
