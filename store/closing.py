"""The pending rows of a model become a chunk. Steps inside the caller's transaction, which holds the model's lock."""

from __future__ import annotations

from sqlalchemy import Connection, func, insert, select

from store.accepting import pending_rows
from store.errors import NothingPending
from store.events import tell
from store.kinds import CloseReason, EventKind
from store.queries import last_closed, next_number
from store.schema.learning import batches, chunks
from store.values import ModelRow, UpdateRow
from store.writes import queue_update


def close_pending(connection: Connection, model: ModelRow, reason: CloseReason, *, now: float) -> UpdateRow:
    """The pending rows are a chunk, and this update waits to absorb it.

    Raises:
        NothingPending: no batch that is to be learned from waits outside a chunk.
    """
    if pending_rows(connection, model.id) == 0:
        raise NothingPending(model=model.name)
    of_model = batches.c.model_id == model.id
    first = connection.execute(select(last_closed(model.id))).scalar_one() + 1
    newest = connection.execute(select(func.max(batches.c.number)).where(of_model)).scalar_one()
    number = next_number(connection, model.id, chunks.c.number)
    held = select(func.sum(batches.c.rows)).where(of_model, batches.c.number.between(first, newest))
    rows = int(connection.execute(held).scalar_one())
    span = {"number": number, "batch_first": first, "batch_last": newest, "rows": rows}
    connection.execute(insert(chunks).values(model_id=model.id, **span, reason=reason, closed_at=now))
    told = {"chunk": number, "batches": [first, newest], "rows": rows, "reason": str(reason)}
    tell(connection, model.id, EventKind.CLOSED, told, at=now)
    return queue_update(connection, model, number, now=now)


def close_if_full(connection: Connection, model: ModelRow, *, now: float) -> UpdateRow | None:
    """The pending rows, where they fill a chunk, are one, which this update waits to absorb; None: they do not."""
    if pending_rows(connection, model.id) < model.description["chunk"]["rows"]:
        return None
    return close_pending(connection, model, CloseReason.ROWS, now=now)
